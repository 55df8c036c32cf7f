"""The run of a detector."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from glassnet.data.annotations.objects import BoxIndex
from glassnet.data.annotations.scan import scan_boxes
from glassnet.detection.detector import Detector
from glassnet.detection.judging.judgement import DetectionJudgement
from glassnet.detection.training.recipes import detection_recipe, named_recipes
from glassnet.training.recipes import Recipe
from glassnet.training.run import Run


class DetectionRun(Run):
    """A run folder whose network is a detector."""

    @cached_property
    def network(self) -> Any:
        """The detector of this run."""
        return Detector.load(self.path)

    @cached_property
    def recipe(self) -> Any:
        """The recipe it is trained by."""
        return detection_recipe(str(self.path / "recipe.toml"))

    def named_recipes(self) -> Mapping[str, Recipe]:
        """Return the named recipes of detection."""
        return named_recipes()

    @property
    def evaluation(self) -> Any:
        """The `DetectionJudgement` on the test split, None before it was made."""
        path = self.path / "evaluation.json"
        return DetectionJudgement.from_dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def index(self) -> BoxIndex:
        """Return the index of the data as a new scan finds it, split as it was for this run."""
        settings = self.facts["settings"]
        return scan_boxes(settings["data"], seed=settings["seed"], group_by=settings["group_by"])
