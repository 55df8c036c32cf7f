"""The one-file report of a localiser's run: judge on the test split, write `report.html` and `evaluation.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from glassnet.data.annotations.objects import BoxIndex, Objects
from glassnet.detection.api import known_to
from glassnet.detection.judging.judge import summarise
from glassnet.detection.localisation.judge import judge_localiser
from glassnet.detection.localisation.localiser import Localiser
from glassnet.detection.localisation.run import LocalisationRun
from glassnet.files import write_text
from glassnet.report.detection.content import LocalisationReport, data_facts
from glassnet.report.detection.scenes import Scene, scenes
from glassnet.report.report import judged_items, judged_note, run_facts


def write_report(run: LocalisationRun, *, device: str = "auto") -> Path:
    """Judge `run` on its test split, write `evaluation.json` and `report.html` into it, return the report's path.

    Where there is no test split, validation is judged and the report says so. Raises as the report of a detector does.
    """
    from glassnet.report.detection.page import render_localisation  # Matplotlib: half a second

    localiser: Any = run.network
    index = run.same_index()
    split, items = judged_items(index)
    judgement = judge_localiser(localiser, index, items, split=split, device=device)
    run.write_evaluation(judgement)
    report = LocalisationReport(
        **run_facts(run),
        **data_facts(index, localiser.size, squashed=localiser.preprocess.resize == "squash"),
        judgement=judgement,
        judged_note=judged_note(split, False),
        scenes=worst_scenes(localiser, index, items, device),
    )
    write_text(run.report, render_localisation(report))
    return run.report


def worst_scenes(localiser: Localiser, index: BoxIndex, items: np.ndarray, device: str) -> list[Scene]:
    """Return the pictures that are answered worst, drawn: the largest object of each, and the one box found."""
    truth = [largest(known_to(localiser, index, item)) for item in items.tolist()]
    if not any(len(each) for each in truth):
        return []  # only background: nothing to draw beside
    found = list(localiser.stream((index.source(item) for item in items.tolist()), device=device))
    judgement = summarise(
        found,
        truth,
        localiser.classes,
        items=items,
        where=index.where,
        thresholds=dict.fromkeys(localiser.classes, 0.0),  # the presence has decided already
        network=localiser.name,
        data=index.name,
        split="",
        seconds=0.0,
        device=device,
    )
    return scenes(judgement, lambda result: index.source(result.item))


def largest(objects: Objects) -> Objects:
    """Return the one object that counts, as training sees it: the largest that is neither difficult nor a crowd."""
    boxes = objects.boxes.astype(np.float64)
    area = np.where(objects.counted, (boxes[:, 2:] - boxes[:, :2]).prod(1), 0.0)
    return objects.only(np.argsort(-area, kind="stable")[: int((area > 0).any())])
