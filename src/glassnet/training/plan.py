"""The plan: what a training decides once, by clock or machine, and never again, so that a resume is exact."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from glassnet.errors import InputError
from glassnet.training.recipes import Recipe

WARM_STEPS = 3
MEASURE_SHARE = 0.03  # of a budget goes into measuring what a step takes
SAFETY = 0.92  # share of the remaining time that is planned: machines are shared and measured steps are early ones
MOST_EPOCHS = 5.0  # a budget stretches a recipe at most this much: more only overfits


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many steps, when to validate, and on what: stored in the run, read again by a resume."""

    steps: int
    steps_per_epoch: int
    validate_steps: int  # steps between validations; the end is always validated
    freeze_steps: int  # steps in which only the head trains
    seed: int
    device: str
    precision: str  # fp32, bf16 or fp16
    threads: int
    processes: int = 1

    def validates(self, step: int) -> bool:
        """Whether a validation follows when `step` steps are done."""
        return step >= self.steps or (self.validate_steps > 0 and step % self.validate_steps == 0)

    def epoch(self, step: int) -> float:
        """How many epochs `step` steps are."""
        return step / self.steps_per_epoch


def plan_steps(recipe: Recipe, steps_per_epoch: int) -> int:
    """Return the number of steps of a training without a budget."""
    return recipe.steps or math.ceil(recipe.epochs * steps_per_epoch)


def budget_steps(
    steps: int, seconds: float, step_seconds: float, validations: float, *, stretch: float = MOST_EPOCHS
) -> int:
    """Return how many steps fit into `seconds` when one takes `step_seconds` and all validations `validations`.

    A recipe's own number of `steps` is stretched at most `stretch` times, one that the user chose not at all (1).
    Raises `InputError` where not even ten steps fit.
    """
    fit = int((seconds * SAFETY - validations) / step_seconds)
    if fit < 10:
        raise InputError(
            f"{max(0.0, seconds) / 60:.2g} minutes are left for training, but a step takes {step_seconds:.2g} s; "
            "allow more minutes, or a smaller network, size or batch_size"
        )
    return min(fit, math.ceil(steps * stretch))


def measure(step: Callable[[], None], seconds: float) -> float:
    """Return the mean duration in seconds of `step()`, called for about `seconds`.

    The mean, not the median: on a shared machine the slow steps are part of the bill. The first steps, which also fill
    caches and thread pools, do not count where there are others.
    """
    begin = time.perf_counter()
    durations: list[float] = []
    while len(durations) < 2 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        step()
        durations.append(time.perf_counter() - start)
    timed = durations[WARM_STEPS:] or durations[1:]
    return sum(timed) / len(timed)


def reseed(device: torch.device, *numbers: int) -> None:
    """Seed the generators that dropout and its like draw from, by a hash of `numbers` (seed, epoch, step, rank).

    Not `torch.manual_seed`: that also walks over every backend there is, 400 µs instead of 2.
    """
    seed = int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest(), "little") >> 1
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
