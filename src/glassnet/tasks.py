"""Which task it is: the one place that knows all kinds of training, and what opens, judges and reports each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassnet.card import read_card
from glassnet.data.annotations.recognise import annotation_format
from glassnet.data.builtin import names as builtin_names
from glassnet.errors import InputError, UnknownName
from glassnet.models.base import file_in
from glassnet.models.inspection import Subject
from glassnet.models.network import Network, load_network
from glassnet.training.prepare import CLASSIFICATION
from glassnet.training.prepared import Kind
from glassnet.training.run import Run, is_run

if TYPE_CHECKING:
    from glassnet.detection.detections import Finder
    from glassnet.detection.detector import Detector
    from glassnet.detection.judging.judgement import DetectionJudgement
    from glassnet.detection.localisation import Localiser
    from glassnet.detection.localisation.judgement import LocalisationJudgement

TASKS = {"classify": "classification", "detect": "detection", "localise": "localisation"}
"""What a user calls a task, and what a card and a run call it."""


def kind_for(data: str | Path, task: str = "auto") -> Kind:
    """Return the kind of training that `task` names, or that the data ask for: detection where they have boxes.

    Raises `UnknownName` for another task.
    """
    if task != "auto":
        if task not in TASKS:
            raise UnknownName("task", task, ["auto", *TASKS], hint=f"there are auto, {', '.join(TASKS)}")
        return kind_of(TASKS[task])
    if str(data) in builtin_names() or annotation_format(data) is None:
        return CLASSIFICATION
    return kind_of("detection")


def kind_of(task: str) -> Kind:
    """Return the kind of training of a run's or a card's task."""
    if task == "detection":
        from glassnet.detection.training.prepare import DETECTION  # a third of a second that others need not wait

        return DETECTION
    if task == "localisation":
        from glassnet.detection.localisation.prepare import LOCALISATION

        return LOCALISATION
    return CLASSIFICATION


def open_run(path: str | Path) -> Run:
    """Return the run at `path` as one of its task; raise `RunError` where there is none."""
    return kind_of(Run(path).task).run(path)


def task_of(target: str | Path) -> str:
    """Return the task of what `target` names: that of a run's or a file's card; else classification."""
    path = Path(target)
    if path.is_dir():
        return read_card(file_in(path)).task
    return read_card(path).task if path.is_file() and path.suffix == ".safetensors" else "classification"


def load(target: str | Path, *, pretrained: bool | str = False) -> Network | Detector | Localiser:
    """Return the network of a run folder, of a file, or with `pretrained` weights of a registered name."""
    task = task_of(target)
    if task == "classification":
        return load_network(target, pretrained=pretrained)
    if pretrained:
        raise InputError(f"pretrained is for a registered network; {str(target)!r} is a file with its own weights")
    if task == "localisation":
        from glassnet.detection.localisation import Localiser

        return Localiser.load(target)
    from glassnet.detection.detector import Detector

    return Detector.load(target)


def evaluate_finder(
    network: str | Path,
    data: str | Path | None,
    split: str,
    *,
    pretrained: bool | str,
    tta: bool,
    seed: int,
    **how: Any,
) -> DetectionJudgement | LocalisationJudgement:
    """Judge what finds objects by itself on one split of `data`, or of its run's own; `how`: batch_size, device."""
    from glassnet.detection.api import evaluate_detector
    from glassnet.detection.localisation import Localiser
    from glassnet.detection.localisation.judge import evaluate_localiser
    from glassnet.detection.training.run import BoxRun

    found = load(network, pretrained=pretrained)
    localises = isinstance(found, Localiser)
    if tta:
        raise InputError(f"tta is for classifiers; a {'localiser' if localises else 'detector'} looks once")
    judged: DetectionJudgement | LocalisationJudgement
    if data is not None:
        judge: Any = evaluate_localiser if localises else evaluate_detector
        judged = judge(found, data, split=split, seed=seed, **how)
    elif is_run(network):
        run = open_run(network)
        assert isinstance(run, BoxRun)
        how |= {} if localises else {"seed": seed}  # of the bootstrap; a share has an interval without one
        judged = run.judge(split, **how)
    else:
        raise InputError(f"{network} has no data of its own; name some: glassnet evaluate {network} DATA")
    return judged


def finder(
    target: str | Path, *, windows: bool, pretrained: bool | str, device: str, batch_size: int | None
) -> tuple[Finder, dict[str, Any]]:
    """Return what finds objects, and what its `stream` is to take beside pictures and threshold.

    It is the detector or localiser that `target` names, or with `windows` a classifier that slides. batch_size: of
    pictures, or of windows; None takes the finder's own. Raises `InputError` for a classifier without `windows`, and
    for a detector with it.
    """
    network = load(target, pretrained=pretrained)
    if isinstance(network, Network) != windows:
        raise InputError(
            f"{target} finds objects by itself; leave windows out"
            if windows
            else f"{target} says what a picture shows, not where; slide it over the pictures: "
            f"glassnet detect {target} ... --windows"
        )
    size: dict[str, Any] = {} if batch_size is None else {"batch_size": batch_size}
    if not isinstance(network, Network):
        return network, {"device": device, **size}
    from glassnet.detection.windows import WindowDetector

    return WindowDetector(network, device=device, **size), {}


def finder_subject(target: str | Path, arguments: Any) -> Subject:
    """Return the detector or localiser that `target` names as `inspect` wants it; a detector up to its grids' answers.

    Raises `InputError` for arguments.
    """
    from glassnet.detection.detector import Answering, Detector

    if arguments:
        raise InputError(f"{str(target)!r} is a file that says how it was built; arguments are for names")
    found = load(target)
    module = Answering(found.module) if isinstance(found, Detector) else found.module
    return Subject(name=str(target), title=found.title, module=module, input_shape=found.module.input_size)


def to_explain(target: str | Path, *, pretrained: bool | str) -> str | Path | Network:
    """Return what the explanations of classifiers take for `target`: of a localiser what names the object.

    Raises `InputError` for a localiser and `pretrained`, which is for registered names.
    """
    if task_of(target) != "localisation":
        return target
    localiser: Any = load(target, pretrained=pretrained)
    named: Network = localiser.classifier()
    return named


def write_report(run: Run, **how: Any) -> Path:
    """Judge a run on its test split and write its report; return the path."""
    if run.task == "localisation":
        from glassnet.detection.localisation.run import LocalisationRun
        from glassnet.report.detection.localisation import write_report as write_localisation

        return write_localisation(LocalisationRun(run.path), device=how.get("device", "auto"))
    if run.task == "detection":
        from glassnet.detection.training.run import DetectionRun
        from glassnet.report.detection.report import write_report as write

        return write(DetectionRun(run.path), **how)
    from glassnet.report.report import write_report as write_classification

    return write_classification(run, **how)
