"""The run of a localiser."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, ClassVar

from glassnet.detection.localisation.judge import judge_localiser
from glassnet.detection.localisation.judgement import LocalisationJudgement
from glassnet.detection.localisation.localiser import Localiser
from glassnet.detection.localisation.recipes import RECIPES
from glassnet.detection.training.run import BoxRun
from glassnet.training.recipes import Recipes


class LocalisationRun(BoxRun):
    """A run folder whose network is a localiser."""

    recipes: ClassVar[Recipes[Any]] = RECIPES

    @cached_property
    def network(self) -> Any:
        """The localiser of this run."""
        return Localiser.load(self.path)

    @property
    def evaluation(self) -> Any:
        """The `LocalisationJudgement` on the test split, None before it was made."""
        path = self.path / "evaluation.json"
        return LocalisationJudgement.from_dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def judge(self, split: str, **how: Any) -> LocalisationJudgement:
        """Judge the localiser on a split of the run's own data; `how` as for `judge_localiser`."""
        index = self.same_index()
        return judge_localiser(self.network, index, index.select(split), split=split, **how)
