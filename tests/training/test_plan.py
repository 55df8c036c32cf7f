"""The plan: steps of recipes and budgets by hand, and seeds."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from glassnet.errors import InputError
from glassnet.training import plan as plan_module
from glassnet.training.plan import MOST_EPOCHS, SAFETY, Plan, budget_steps, measure, plan_steps, reseed
from glassnet.training.recipes import Recipe

CPU = torch.device("cpu")


def plan(**changes: Any) -> Plan:
    fields = {"steps": 25, "steps_per_epoch": 10, "validate_steps": 4, "freeze_steps": 0, "seed": 0, "device": "cpu"}
    return Plan(**{**fields, "precision": "fp32", "threads": 1, **changes})


def test_steps_of_a_recipe() -> None:
    assert plan_steps(Recipe(epochs=2.5), 10) == 25
    assert plan_steps(Recipe(epochs=0.01), 10) == 1
    assert plan_steps(Recipe(epochs=9, steps=7), 10) == 7
    assert plan_steps(Recipe(epochs=0, probe=True), 10) == 0


def test_when_it_validates() -> None:
    assert [step for step in range(1, 26) if plan().validates(step)] == [4, 8, 12, 16, 20, 24, 25]
    assert [step for step in range(1, 26) if plan(validate_steps=0).validates(step)] == [25]
    assert plan().epoch(25) == 2.5


def test_a_budget_by_hand() -> None:
    assert budget_steps(1000, seconds=100, step_seconds=0.5, validations=12) == int((100 * SAFETY - 12) / 0.5)
    assert budget_steps(10, seconds=1e6, step_seconds=0.5, validations=0) == 10 * MOST_EPOCHS
    assert budget_steps(10, seconds=1e6, step_seconds=0.5, validations=0, stretch=1) == 10
    with pytest.raises(InputError, match=r"0\.5 minutes are left for training, but a step takes 5 s"):
        budget_steps(1000, seconds=30, step_seconds=5.0, validations=0)


def test_measuring_leaves_the_first_steps_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "WARM_STEPS", 2)
    durations = iter([0.2, 0.2] + [0.01] * 100)
    assert 0.01 <= measure(lambda: time.sleep(next(durations)), seconds=0.5) < 0.05


def test_measuring_ends_in_time() -> None:
    calls: list[int] = []
    measure(lambda: (calls.append(1), time.sleep(0.05))[1], seconds=0.06)
    assert len(calls) == 2


def test_seeds_are_functions_of_their_numbers() -> None:
    def draw(*numbers: int) -> list[float]:
        reseed(CPU, *numbers)
        return torch.rand(3).tolist()

    assert draw(1, 2, 3) == draw(1, 2, 3)
    assert len({tuple(draw(*numbers)) for numbers in [(1, 2, 3), (1, 3, 2), (12, 3), (1, 23), (0, 0, 0)]}) == 5
