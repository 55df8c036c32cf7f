"""The run of a localiser."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from glassnet.detection.localisation.judge import judge_localiser
from glassnet.detection.localisation.judgement import LocalisationJudgement
from glassnet.detection.localisation.localiser import Localiser
from glassnet.detection.localisation.recipes import localisation_recipe, named_recipes
from glassnet.detection.training.run import BoxRun
from glassnet.training.recipes import Recipe


class LocalisationRun(BoxRun):
    """A run folder whose network is a localiser."""

    @cached_property
    def network(self) -> Any:
        """The localiser of this run."""
        return Localiser.load(self.path)

    @cached_property
    def recipe(self) -> Any:
        """The recipe it is trained by."""
        return localisation_recipe(str(self.path / "recipe.toml"))

    def named_recipes(self) -> Mapping[str, Recipe]:
        """Return the named recipes of localisation."""
        return named_recipes()

    @property
    def evaluation(self) -> Any:
        """The `LocalisationJudgement` on the test split, None before it was made."""
        path = self.path / "evaluation.json"
        return LocalisationJudgement.from_dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def judge(self, split: str, **how: Any) -> LocalisationJudgement:
        """Judge the localiser on a split of the run's own data; `how` as for `judge_localiser`."""
        index = self.same_index()
        return judge_localiser(self.network, index, index.select(split), split=split, **how)
