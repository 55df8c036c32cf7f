"""The one-file report of a run: gather, judge on the test split, write `report.html` and `evaluation.json`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np

from glassnet.data.index import Index
from glassnet.data.pictures import Pictures, load_pictures
from glassnet.errors import DataError
from glassnet.evaluation.judge import judge
from glassnet.evaluation.judgement import Judgement
from glassnet.files import write_text
from glassnet.models.described import ARCHITECTURE
from glassnet.models.prediction import Predictor
from glassnet.models.words import joined
from glassnet.nn.device import pick_device
from glassnet.report.content import Maps, ReportData
from glassnet.report.thumbnails import centre, thumbnail
from glassnet.training.prepared import split_key
from glassnet.training.probe import probed_answers
from glassnet.training.progress import Display
from glassnet.training.run import Run

NOTES = {
    "test": "",
    "validation": "There are no test pictures, so these are the validation pictures, which also chose the network: "
    "the numbers are somewhat too good.",
    "train": "There are neither test nor validation pictures, so these are the training pictures: the numbers say how "
    "well the network remembers, not how well it recognises.",
}


def write_report(
    run: Run,
    *,
    device: str = "auto",
    batch_size: int | None = None,
    seed: int = 0,
    predictor: Predictor | None = None,
    pictures: Pictures | None = None,
    explain: bool = True,
    seconds: float = 10.0,
    quiet: bool = False,
) -> Path:
    """Judge `run` on its test split, write `evaluation.json` and `report.html` into it, return the report's path.

    Where there is no test split, validation is judged and the report says so. `pictures`: those of the run, where they
    are at hand already; else they are found again (and come from the cache). `predictor`: see `evaluation.scores`.
    `explain`: also show what answers hung on, beginning no picture after so many `seconds`: a training of seconds must
    not wait a minute for its report. Raises `RunError` where the run has no network yet, `DataError` where its data
    have changed, `StorageError`.
    """
    from glassnet.report.page import render  # Matplotlib: half a second that judging does not need

    network = run.network
    pictures = pictures or run_pictures(run)
    judgement = judge_run(run, pictures, device=device, batch_size=batch_size, seed=seed, predictor=predictor)
    data = ReportData(
        **run_facts(run),
        judgement=judgement,
        judged_note=judged_note(judgement.split, run.recipe.tta),
        thumbnails=[
            thumbnail(centre(pictures.pool[loss.item], network.preprocess.height, network.preprocess.width))
            for loss in judgement.top_losses
        ],
        data_name=pictures.index.name,
        counts=pictures.index.counts().tolist(),
        notes=pictures.index.notes,
        problems=pictures.index.problems,
        thresholds=network.card.thresholds,
        maps=maps_of(run, pictures, judgement, device=device, seconds=seconds, quiet=quiet) if explain else Maps(),
    )
    write_text(run.report, render(data))
    return run.report


def run_facts(run: Run) -> dict[str, Any]:
    """Return those fields of a report that any run has, whatever its task (see `content.RunFacts`)."""
    network, history, decided = run.network, run.metrics(), run.facts["decided"]
    network_trace = network.trace()
    return {
        "title": run.path.resolve().name,
        "created": run.facts["created"],
        "seconds": run.facts.get("seconds") or (history[-1].get("seconds") if history else None),
        "history": history,
        "network_title": network.title,
        "reason": decided["reason"],
        "input_shape": network_trace.input_shape,
        "layers": network_trace.table(),
        "parameters": network_trace.parameters,
        "multiply_adds": network_trace.multiply_adds,
        "recipe": vars(run.recipe),
        "preprocess": network.card.preprocess,
        "machine": run.facts["machine"],
        "reproduce": reproduce(run, run.facts["settings"], decided),
    }


def maps_of(run: Run, pictures: Pictures, judgement: Judgement, *, device: str, seconds: float, quiet: bool) -> Maps:
    """Return occlusion maps of the judged pictures (see `explanations`)."""
    from glassnet.report.explanations import occlusion_maps  # Matplotlib again

    _, items = judged_items(pictures.index)
    return occlusion_maps(run.network, pictures, judgement, items, device=device, seconds=seconds, quiet=quiet)


def judge_run(
    run: Run,
    pictures: Pictures,
    *,
    device: str = "auto",
    batch_size: int | None = None,
    seed: int = 0,
    predictor: Predictor | None = None,
) -> Judgement:
    """Judge the run's network on its test split (else validation) and keep the judgement in the run."""
    split, items = judged_items(pictures.index)
    network = run.network
    known = run.recipe.only_probes and not run.recipe.tta and predictor is None
    judgement = judge(
        network,
        pictures,
        items,
        split=split,
        batch_size=batch_size,
        device=device,
        predictor=predictor,
        tta=run.recipe.tta,
        answers=probed_answers(network, pick_device(device), Display(quiet=True)) if known else None,
        seed=seed,
    )
    run.write_evaluation(judgement)
    return judgement


def run_pictures(run: Run) -> Pictures:
    """The pictures of a run with its splits, found again as the training found them.

    Raises `DataError` where they have changed since: then its test pictures may be ones that it was trained on.
    """
    settings, decided = run.facts["settings"], run.facts["decided"]
    pictures = load_pictures(run.index(), run.network.preprocess)
    if (pictures.index.fingerprint, split_key(pictures.index)) != (decided["fingerprint"], decided["splits"]):
        raise DataError(
            f"the pictures of {settings['data']!r} have changed since {str(run.path)!r} was trained on them, so its "
            f"test split is not the same; put them back, or judge on pictures it has not seen: "
            f"glassnet evaluate {run.path} FOLDER"
        )
    return pictures


def judged_items(index: Index) -> tuple[str, np.ndarray]:
    """The split to judge on and its item numbers: test, else validation, else train."""
    found = {split: index.select(split) for split in NOTES}
    return next((split, items) for split, items in found.items() if len(items))


def judged_note(split: str, tta: bool) -> str:
    """What a reader must know about the judged pictures; usually nothing."""
    mirrored = "Each answer is the mean of those for the picture and for its mirror image." if tta else ""
    return f"{NOTES[split]} {mirrored}".strip()


def reproduce(run: Run, settings: dict[str, Any], decided: dict[str, Any]) -> str:
    """The shell commands that make the same run again: what was decided, not what was asked for."""
    words = ["glassnet", "train", settings["data"]]
    words += ["--task", "localise"] if run.task == "localisation" else []  # the others are what the data ask for
    from_file = decided["network"] == ARCHITECTURE  # whose one argument is the whole description
    network = settings["network"] if from_file else decided["network"]
    words += ["--from", settings["start_from"]] if settings["start_from"] else ["--network", network]
    arguments = dict(decided["arguments"])
    if "backbone" in arguments:
        backbone = joined(arguments.pop("backbone"), arguments.pop("backbone_arguments"))
        words += [] if settings["start_from"] else ["--backbone", backbone]
    for name, value in arguments.items() if not settings["start_from"] and not from_file else ():
        words += ["--arg", f"{name}={_toml(value)}"]
    if decided["pretrained"] and not settings["start_from"]:
        source = decided["pretrained"]  # True for the best one, or its name
        words += ["--weights", source] if isinstance(source, str) else ["--pretrained"]
    words += _recipe_words(run)
    words += ["--set", f"steps={run.facts['plan']['steps']}"] if settings["minutes"] else []
    words += ["--group-by", settings["group_by"]] if settings["group_by"] else []
    machine = run.facts["machine"]
    words += ["--seed", str(settings["seed"]), "--threads", str(machine["threads"])]
    versions = f"pip install glassnet=={machine['glassnet']} torch=={machine['torch'].partition('+')[0]}"
    return f"{versions}\n{shlex.join(words)}"


def _recipe_words(run: Run) -> list[str]:
    """The recipe by name and what differs from it; by its file where it has no name of ours."""
    named = run.recipes.named().get(run.recipe.name)
    if named is None:
        return ["--recipe", str(run.path / "recipe.toml")]
    words = ["--recipe", run.recipe.name]
    usual = vars(named)
    for name, value in vars(run.recipe).items():
        words += ["--set", f"{name}={_toml(value)}"] if value != usual[name] else []
    return words


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
