"""Recipes: what is refused and how, TOML there and back, names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.errors import InputError, UnknownName
from glassnet.training.recipes import RECIPES, Recipe


@pytest.mark.parametrize("name", RECIPES.named())
def test_named_recipes_are_complete(name: str) -> None:
    found = RECIPES.find(name)
    assert found.name == name
    assert Recipe.from_toml(found.to_toml()) == found
    assert RECIPES.summary(name).endswith(".")


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("epochs", -1, "epochs=-1.0: expected at least 0"),
        ("epochs", float("nan"), "epochs=nan"),
        ("epochs", float("inf"), "epochs=inf"),
        ("epochs", 0, "nothing would be trained"),
        ("batch_size", 0, "batch_size=0: expected at least 1"),
        ("batch_size", 2.5, "batch_size=2.5: expected a whole number"),
        ("batch_size", True, "batch_size=True: expected a whole number"),
        ("nesterov", 1, "nesterov=1: expected true or false"),
        ("learning_rate", 0, "learning_rate=0.0: expected at least 1e-12"),
        ("learning_rate", "fast", "learning_rate='fast': expected a number"),
        ("optimiser", "adam", "expected one of sgd, adamw, muon"),
        ("ema", 1.0, "ema=1.0"),
        ("accumulate", 65, "accumulate=65 parts of a batch of 64"),
        ("schedule", 3, "schedule=3: expected a word"),
    ],
)
def test_a_wrong_value_is_refused(field: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("+", r"\+")):
        Recipe(**{field: value})


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UnknownName, match="nearest: quick"):
        RECIPES.find("quik")
    with pytest.raises(UnknownName, match="nearest: learning_rate"):
        RECIPES.find("quick", learning_rat=1.0)
    with pytest.raises(UnknownName, match="nearest: epochs"):
        Recipe.from_toml("epoch = 3")
    with pytest.raises(InputError, match="TOML cannot be read"):
        Recipe.from_toml("epochs = = 3")


def test_a_file_is_a_recipe(tmp_path: Path) -> None:
    RECIPES.find("quick", epochs=7).save(tmp_path / "mine.toml")
    assert RECIPES.find(str(tmp_path / "mine.toml"), batch_size=8) == RECIPES.find("quick", epochs=7, batch_size=8)
    with pytest.raises(InputError, match="cannot be read"):
        RECIPES.find(str(tmp_path / "missing.toml"))


@settings(max_examples=30)
@given(
    st.builds(
        Recipe,
        epochs=st.floats(0.1, 1e4),
        batch_size=st.integers(1, 4096),
        learning_rate=st.floats(1e-9, 100),
        schedule=st.sampled_from(["one_cycle", "cosine", "step"]),
        flip=st.floats(0, 1),
        probe=st.booleans(),
        name=st.text(max_size=20),
    )
)
def test_toml_there_and_back(made: Recipe) -> None:
    assert Recipe.from_toml(made.to_toml()) == made
