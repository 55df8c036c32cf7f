"""What a user can do, as plain functions: each verb of the command line is one of these.

They join the rooms of the house and decide nothing themselves: `training` trains, `evaluation` judges, `report` writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from glassnet import tasks
from glassnet.data import builtin
from glassnet.data.annotations.objects import BoxIndex
from glassnet.data.annotations.recognise import annotation_format
from glassnet.data.annotations.scan import scan_boxes
from glassnet.data.annotations.write import Conversion, write_annotations
from glassnet.data.index import Index, scan
from glassnet.data.pictures import Pictures, load_pictures
from glassnet.data.problems import write_problems_csv
from glassnet.data.walking import at_least_one, walk
from glassnet.errors import InputError, UnknownName
from glassnet.evaluation.judge import judge
from glassnet.evaluation.judgement import Judgement
from glassnet.files import check_writable, write_text
from glassnet.models import registry
from glassnet.models.exchange import export_network, import_network
from glassnet.models.inspection import Inspection, inspect_network, inspect_subject
from glassnet.models.layouts import LAYOUTS, layouts
from glassnet.models.network import Network, Prediction, load_network
from glassnet.models.pretrained import has_weights, sources
from glassnet.nn.device import set_threads
from glassnet.nn.shapes import shapes_only
from glassnet.nn.trace import trace
from glassnet.preprocess import Preprocess
from glassnet.report.drawing import draw
from glassnet.report.report import run_pictures
from glassnet.training import train as training
from glassnet.training.distributed import process
from glassnet.training.find_lr import Finding, find_lr
from glassnet.training.recipes import RECIPES, Recipe
from glassnet.training.run import Run, is_run

if TYPE_CHECKING:
    from glassnet.comparison.compare import Comparison
    from glassnet.detection.detector import Detector
    from glassnet.detection.judging.judgement import DetectionJudgement
    from glassnet.detection.localisation import Localiser
    from glassnet.detection.localisation.judgement import LocalisationJudgement

CHECK_SIZE = 64  # px; large enough to see near-duplicates, small enough that JPEGs decode at 1/8 scale


def train(data: str | Path, *, task: str = "auto", report: bool = True, explain: bool = True, **choices: Any) -> Run:
    """Train a network on `data`, judge it on the test split, write the report; return the run.

    Args:
        data: a folder per class, split folders, a table, `.npz`, idx files, the name of a built-in data set; or
            pictures with boxes, as Pascal VOC, COCO JSON, YOLO txt or CSV.
        task: "classify", "detect", "localise" (one object a picture), or "auto": detection where the data have boxes.
        report: also judge on the test split and write `report.html`. Training itself never looks at test pictures.
        explain: let the report show what answers hung on, for at most 24 pictures and 10 seconds.
        choices: everything `glassnet.training.train.train` takes (network, backbone, recipe, output, pretrained,
            start_from, minutes, epochs, overrides, arguments, device, precision, threads, seed, strict, group_by,
            quiet).

    Raises:
        GlassnetError: a wrong argument, unusable data, a run folder that exists or is locked, a diverged training.
    """
    run = training.train(data, kind=tasks.kind_for(data, task), **choices)
    if report and process()[0] == 0:
        tasks.write_report(run, explain=explain, quiet=bool(choices.get("quiet")))
    return run


def resume(path: str | Path, *, report: bool = True, explain: bool = True, **choices: Any) -> Run:
    """Go on with the interrupted run at `path`; the final weights are those of a run that never stopped."""
    run = training.resume(path, kind=tasks.kind_of(Run(path).task), **choices)
    if report and process()[0] == 0:
        tasks.write_report(run, explain=explain, quiet=bool(choices.get("quiet")))
    return run


def compare(data: str | Path | None = None, **choices: Any) -> Comparison:
    """Train several networks or recipes under one budget with several seeds; return what that found, with intervals.

    >>> found = compare("photos/", networks=["resnet18", "mobilenet_v2"], minutes=5)  # doctest: +SKIP
    >>> print(*found.findings, sep="\\n")  # doctest: +SKIP

    `choices` are those of `glassnet.comparison.compare.compare`, which says what each is and what it raises: networks,
    recipes, study, seeds, epochs, steps, minutes, output, resume, overrides, pretrained, device, threads, quiet.
    """
    from glassnet.comparison.compare import compare as run_comparison  # a third of a second that others need not wait

    return run_comparison(data, **choices)


def studies() -> dict[str, str]:
    """Return the ready-made studies of `compare`, each with its question."""
    from glassnet.comparison import studies as known

    return {name: known.load(name).question for name in known.names()}


def load(target: str | Path, *, pretrained: bool | str = False) -> Network | Detector | Localiser:
    """Return the network of a run folder, of a network file, or with `pretrained` weights of a registered name.

    What was trained to find boxes is a `Detector`, one box in each picture a `Localiser`, anything else a `Network`.

    `pretrained` is True for the best weights known, or the name of their source, as in "torchvision".

    Raises:
        NetworkFileError: the file is missing, truncated, of an unknown version, or does not fit its card.
        UnknownName: `target` is neither a path nor a network's name. InputError: a name without `pretrained`.
    """
    return tasks.load(target, pretrained=pretrained)


def evaluate(
    network: str | Path,
    data: str | Path | None = None,
    *,
    split: str = "test",
    pretrained: bool | str = False,
    tta: bool = False,
    batch_size: int = 64,
    device: str = "auto",
    threads: int | None = None,
    seed: int = 0,
) -> Judgement | DetectionJudgement | LocalisationJudgement:
    """Judge `network` on one split of `data`; where no data are named, on that of the run's own.

    A detector's judgement is a `DetectionJudgement`, a localiser's a `LocalisationJudgement`.

    Args:
        network: a run folder, a network file, or a registered name.
        data: as for `train`; a bare folder per class is a test set as it is.
        split: "train", "validation" or "test". Only matters where the data have splits.
        tta: average over each picture and its mirror image.
        seed: draws the bootstrap of the confidence intervals.

    Raises:
        DataError: the data have a class that the network does not know, or nothing usable.
        InputError: no data are named and `network` is not a run.
    """
    set_threads(threads)
    torch.manual_seed(seed)
    if tasks.task_of(network) != "classification":
        how: dict[str, Any] = {
            "tta": tta,
            "pretrained": pretrained,
            "batch_size": batch_size,
            "device": device,
            "seed": seed,
        }
        return tasks.evaluate_finder(network, data, split, **how)
    judged = load_network(network, pretrained=pretrained)
    pictures = pictures_to_judge(network, judged, data, split, seed)
    items = pictures.index.select(split)
    if len(items) == 0:
        raise InputError(f"{pictures.index.name} has no {split} pictures; choose another --split")
    return judge(judged, pictures, items, split=split, batch_size=batch_size, device=device, tta=tta, seed=seed)


def pictures_to_judge(network: str | Path, judged: Network, data: str | Path | None, split: str, seed: int) -> Pictures:
    """Return the pictures of `data`, or of the run that `network` names, as `judged` wants to see them."""
    if data is not None:
        return load_pictures(scan(data, evaluate_only=split == "test", seed=seed), judged.preprocess)
    if is_run(network):
        return run_pictures(Run(network))
    raise InputError(f"{network} has no data of its own; name some: glassnet evaluate {network} DATA")


def predict(
    network: str | Path,
    pictures: str | Path | Iterable[str | Path],
    *,
    top: int = 5,
    pretrained: bool | str = False,
    tta: bool = False,
    batch_size: int = 32,
    device: str = "auto",
    threads: int | None = None,
    seed: int = 0,
) -> Iterator[Prediction]:
    """Yield a `Prediction` for each picture file, folders walked to their ends, a million files in constant memory.

    A picture that cannot be read gives a prediction with an `error`. Order is that of the arguments, and inside a
    folder that of the file system. Hidden files and folders are left alone.

    Raises:
        InputError: a path does not exist, `top` or `batch_size` is below 1, or the folders that are named hold nothing.
    """
    set_threads(threads)
    torch.manual_seed(seed)
    if tasks.task_of(network) != "classification":
        raise InputError(f"{network} finds objects; use: glassnet detect {network} ...")
    named = [pictures] if isinstance(pictures, str | Path) else pictures
    if isinstance(named, Sequence):
        for path in named:
            if not os.path.lexists(path):
                raise InputError(f"no picture or folder at {str(path)!r}; check the path")
    judged = load_network(network, pretrained=pretrained)
    answers = judged.stream(walk(named), top=top, batch_size=batch_size, device=device, tta=tta)
    return at_least_one(answers, named) if isinstance(named, Sequence) and named else answers


def write_report(
    run: Run | str | Path, *, explain: bool = True, device: str = "auto", threads: int | None = None, seed: int = 0
) -> Path:
    """Judge a run on its test split and write its `report.html` again; return the path.

    `explain` as for `train`, for up to a minute.
    """
    set_threads(threads)
    found = run if isinstance(run, Run) else tasks.open_run(run)
    return tasks.write_report(found, device=device, seed=seed, explain=explain, seconds=60.0)


def check_data(
    data: str | Path, *, output: str | Path | None = None, group_by: str | None = None, seed: int = 0
) -> Index:
    """Read every picture of `data` once; return the index with all problems, written as CSV to `output` if given.

    Annotated data (see `annotation_format`) give a `BoxIndex`, whose problems are also those of boxes.
    """
    if output is not None:
        check_writable(Path(output))
    look = scan if annotation_format(data) is None else scan_boxes
    found = look(data, group_by=group_by, seed=seed)
    small = Preprocess(height=CHECK_SIZE, width=CHECK_SIZE, crop=1.0, channels=found.channels, decode="dct")
    checked = load_pictures(found, small, cache=False).index
    if output is not None:
        write_problems_csv(Path(output), checked.problems)
    return checked


def convert_data(
    data: str | Path,
    output: str | Path,
    to: str,
    *,
    copy: bool = True,
    format: str | None = None,
    seed: int = 0,
) -> tuple[BoxIndex, Conversion]:
    """Write annotated `data` as "voc", "coco", "yolo" or "csv" into the new or empty folder `output`.

    copy: the pictures too, else symbolic links to them. format: what `data` are, where it is not to be found out. seed:
    of the split, where the data have none. Return what was read, its problems included, and what was written.
    """
    found = scan_boxes(data, seed=seed, format=format)
    return found, write_annotations(found, output, to, copy_pictures=copy)


def data_sets() -> list[builtin.Description]:
    """Return what is known of each built-in data set."""
    return [builtin.describe(name) for name in builtin.names()]


def networks(pattern: str | None = None) -> list[dict[str, Any]]:
    """Return a row for each registered network whose name matches `pattern`; raise `InputError` where none does."""
    names = registry.names(pattern)
    if pattern is not None and pattern.endswith(".toml"):
        raise InputError(
            f"networks lists what is registered, and {pattern} is a description; "
            f"train it: glassnet train DATA --network {pattern}"
        )
    if not names:
        raise UnknownName("network", pattern or "", registry.names(), hint="see `glassnet networks`")
    return [network_row(name) for name in names]


def network_row(name: str) -> dict[str, Any]:
    """Return what a network is and costs: parameters, multiply-adds at its own input size, where it comes from."""
    known = registry.describe(name)
    with shapes_only():
        network = registry.create(name, classes=registry.entry(name).classes, in_channels=known.input_size[0])
    return {
        "name": name,
        "title": known.title,
        "paper": known.paper,
        "input_size": list(known.input_size),
        "parameters": known.parameters,
        "multiply_adds": trace(network, known.input_size).multiply_adds,
        "pretrained": has_weights(name),
        "sources": [source.name for source in sources(name)],
        "arguments": known.arguments,
    }


def import_weights(
    path: str | Path,
    network: str,
    output: str | Path,
    *,
    layout: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Network:
    """Write the weights in the file at `path`, which another library saved, as a network file to `output`; return it.

    classes: names, or a text file with one a line; None is for a head of ImageNet's 1000. The others are those of
    `glassnet.models.exchange.import_network`, which says what it raises.
    """
    names = class_names(classes) if isinstance(classes, str | Path) else classes
    imported = import_network(path, network, layout=layout, classes=names, arguments=arguments)
    imported.save(output)
    return imported


def class_names(path: str | Path) -> list[str]:
    """Return the lines of a text file that are not empty; raise `InputError` where it cannot be read."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"no class names can be read from {str(path)!r} ({error}); expected one a line") from error
    return [line.strip() for line in lines if line.strip()]


def export_weights(network: str | Path, output: str | Path, layout: str, *, pretrained: bool | str = False) -> Path:
    """Write the weights of `network` (as for `load`) to `output` under the names of `layout`; return the path."""
    export_network(load_network(network, pretrained=pretrained), output, layout)
    return Path(output)


def weights(pattern: str | None = None) -> list[dict[str, Any]]:
    """Return a row for each layout of each network that matches `pattern`, with where trained weights in it come from.

    `ready` says whether those are on this machine; it is None, like `where`, for a layout that can only be imported.
    """
    known = {(source.network, source.name): source for source in sources()}
    rows = []
    for name in registry.names(pattern):
        for known_layout in layouts(name):
            source = known.get((name, known_layout.name))
            row = {"network": name, "layout": known_layout.name, "about": known_layout.about}
            where, ready = (source.where, source.ready) if source else (None, None)
            rows.append({**row, "where": where, "ready": ready})
    if not rows:
        having = sorted({layout.network for layout in LAYOUTS})
        raise UnknownName("network with foreign weights", pattern or "", having, hint="see `glassnet weights list`")
    return rows


def inspect(
    network: str | Path,
    *,
    size: tuple[int, int] | None = None,
    arguments: dict[str, Any] | None = None,
    batch_size: int = 32,
    picture: str | Path | None = None,
) -> Inspection:
    """Return what every layer of `network` does and costs; no picture is computed.

    Args:
        network: a registered name, a run folder, or a network file.
        size: (height, width) of the pictures; by default those that the network was designed for.
        arguments: of a registered network, for example {"width": 0.5}; `classes` and `in_channels` too.
        batch_size: for the memory that training takes.
        picture: also draw the network to scale, into this .svg file.

    Raises:
        InputError: the pictures are too small for the network, or it cannot be traced. UnknownName, NetworkFileError.
    """
    if picture is not None and Path(picture).suffix.lower() != ".svg":
        raise InputError(f"the picture is to go to {str(picture)!r}; it is an SVG, so let the name end in .svg")
    if tasks.task_of(network) != "classification":
        found = inspect_subject(tasks.finder_subject(network, arguments), size=size, batch_size=batch_size)
    else:
        found = inspect_network(network, size=size, arguments=arguments, batch_size=batch_size)
    if picture is not None:
        write_text(Path(picture), draw(found.trace, found.title))
    return found


def recipes() -> dict[str, tuple[str, Recipe]]:
    """Return each named recipe with the sentence that says what it is for."""
    from glassnet.detection.localisation import recipes as localisation
    from glassnet.detection.training import recipes as detection

    catalogues: tuple[Any, ...] = (RECIPES, detection.RECIPES, localisation.RECIPES)
    return {name: (each.summary(name), recipe) for each in catalogues for name, recipe in each.named().items()}


def find_learning_rate(data: str | Path, *, output: str | Path | None = None, **choices: Any) -> Finding:
    """Try learning rates from tiny to too large on `data`; suggest one, and plot the losses where `output` says.

    `choices` are those of `glassnet.training.find_lr.find_lr`: network, recipe, arguments, pretrained, device, ...
    """
    if output is not None:
        check_writable(Path(output))
    found = find_lr(data, kind=tasks.kind_for(data), **choices)
    if output is not None:
        found.plot(Path(output))
    return found
