"""The one-file report of a detector's run: gather, judge on the test split, write `report.html`, `evaluation.json`."""

from __future__ import annotations

from pathlib import Path

from glassnet.detection.api import judge_finder
from glassnet.detection.judging.judgement import PictureResult
from glassnet.detection.training.run import DetectionRun
from glassnet.models.prediction import Picture
from glassnet.report.detection.content import DetectionReport, data_facts, write_detection_report
from glassnet.report.detection.explanations import Explanations, explain_boxes
from glassnet.report.detection.scenes import scenes
from glassnet.report.report import judged_items, judged_note, run_facts


def write_report(
    run: DetectionRun,
    *,
    device: str = "auto",
    seed: int = 0,
    explain: bool = True,
    seconds: float = 20.0,
    quiet: bool = False,
) -> Path:
    """Judge `run` on its test split, write `evaluation.json` and `report.html` into it, return the report's path.

    Where there is no test split, validation is judged and the report says so. `explain`: also show why some boxes were
    found, for at most so many `seconds`. Raises `RunError` where the run has no network yet, `DataError` where
    its data have changed, `StorageError`.
    """
    detector, index = run.network, run.same_index()
    split, items = judged_items(index)
    judgement = judge_finder(detector, index, items, split=split, device=device, seed=seed)
    run.write_evaluation(judgement)

    def picture(result: PictureResult) -> Picture:
        return index.source(result.item)

    why = explain_boxes(detector, judgement, picture, seconds=seconds, quiet=quiet) if explain else Explanations()
    report = DetectionReport(
        **run_facts(run),
        **data_facts(index, (detector.preprocess.height, detector.preprocess.width)),
        judgement=judgement,
        judged_note=judged_note(split, False),
        scenes=scenes(judgement, picture),
        explanations=why,
    )
    return write_detection_report(run.report, report)
