"""Schedules: numbers by hand, PyTorch's own one-cycle, and what holds for all of them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glassnet.training.schedules import ONE_CYCLE_START, SCHEDULES, learning_rate_factor


def test_hand_numbers() -> None:
    triangle = [learning_rate_factor("triangular", step, 10, 0.2) for step in range(10)]
    assert triangle == pytest.approx([0.25, 0.75, 15 / 16, 13 / 16, 11 / 16, 9 / 16, 7 / 16, 5 / 16, 3 / 16, 1 / 16])
    steps = [learning_rate_factor("step", step, 8) for step in range(8)]
    assert steps == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])
    assert learning_rate_factor("cosine", 0, 1) == pytest.approx(0.5)
    assert [learning_rate_factor("constant", step, 4, 0.5) for step in range(4)] == pytest.approx([0.25, 0.75, 1, 1])


def test_one_cycle_is_pytorchs() -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=1.0, total_steps=300, pct_start=0.3, div_factor=25, final_div_factor=40,
        cycle_momentum=False,
    )  # fmt: skip
    for step in range(300):
        if step % 7 == 0:
            ours = learning_rate_factor("one_cycle", step, 300, 0.3)
            assert ours == pytest.approx(optimiser.param_groups[0]["lr"], abs=0.01)
        optimiser.step()
        if step < 299:
            theirs.step()


@given(st.sampled_from(SCHEDULES), st.integers(1, 500), st.floats(0, 0.99), st.integers(0, 10_000))
def test_every_factor_is_positive_at_most_one_and_falls_after_the_peak(
    schedule: str, steps: int, warmup: float, at: int
) -> None:
    step = at % steps
    factor = learning_rate_factor(schedule, step, steps, warmup)
    assert 0 < factor <= 1
    assert math.isfinite(factor)
    if step + 1 < steps and (step + 0.5) / steps >= warmup:
        assert learning_rate_factor(schedule, step + 1, steps, warmup) <= factor + 1e-12


def test_one_cycle_starts_low() -> None:
    assert learning_rate_factor("one_cycle", 0, 10_000, 0.5) == pytest.approx(ONE_CYCLE_START, abs=1e-3)
