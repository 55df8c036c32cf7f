"""Runs on annotated pictures, and that of a detector."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, ClassVar

from glassnet.data.annotations.objects import BoxIndex
from glassnet.data.annotations.scan import scan_boxes
from glassnet.detection.api import judge_finder
from glassnet.detection.detector import Detector
from glassnet.detection.judging.judgement import DetectionJudgement
from glassnet.detection.training.recipes import RECIPES
from glassnet.errors import DataError
from glassnet.training.prepared import split_key
from glassnet.training.recipes import Recipes
from glassnet.training.run import Run


class BoxRun(Run):
    """A run folder of a training on annotated pictures. Each kind says what its network and its judgement are."""

    def index(self) -> BoxIndex:
        """Return the index of the data as a new scan finds it, split as it was for this run."""
        settings = self.facts["settings"]
        return scan_boxes(settings["data"], seed=settings["seed"], group_by=settings["group_by"])

    def same_index(self) -> BoxIndex:
        """Return the annotated pictures as the training found them.

        Raises `DataError` where they have changed since: then its test pictures may be ones that it was trained on.
        """
        decided, index = self.facts["decided"], self.index()
        if (index.fingerprint, split_key(index)) != (decided["fingerprint"], decided["splits"]):
            raise DataError(
                f"the pictures or boxes of {self.data!r} have changed since {str(self.path)!r} was trained on them, "
                f"so its test split is not the same; put them back, or judge on pictures it has not seen: "
                f"glassnet evaluate {self.path} FOLDER"
            )
        return index

    def judge(self, split: str, **how: Any) -> Any:
        """Judge the network on a split of the run's own data; raise `DataError` as `same_index` does."""
        raise NotImplementedError


class DetectionRun(BoxRun):
    """A run folder whose network is a detector."""

    recipes: ClassVar[Recipes[Any]] = RECIPES

    @cached_property
    def network(self) -> Any:
        """The detector of this run."""
        return Detector.load(self.path)

    @property
    def evaluation(self) -> Any:
        """The `DetectionJudgement` on the test split, None before it was made."""
        path = self.path / "evaluation.json"
        return DetectionJudgement.from_dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def judge(self, split: str, **how: Any) -> DetectionJudgement:
        """Judge the detector on a split of the run's own data; `how` as for `judge_finder`."""
        index = self.same_index()
        return judge_finder(self.network, index, index.select(split), split=split, **how)
