"""Learning-rate schedules: pure functions from how far a training is to a factor of the recipe's learning rate.

A step's rate depends on nothing but the step's number, so a resumed training follows the same line. The factor is 1
at the peak. Sources: one-cycle, Smith and Topin 2018 (arXiv:1708.07120); cosine, Loshchilov and Hutter 2017
(arXiv:1608.03983); warm-up and steps, Goyal et al. 2017 (arXiv:1706.02677) and He et al. 2016 (arXiv:1512.03385).
"""

from __future__ import annotations

import math

SCHEDULES = ("one_cycle", "cosine", "step", "triangular", "constant")

ONE_CYCLE_START = 1 / 25  # Smith and Topin begin an order of magnitude or so below the peak
ONE_CYCLE_END = 1e-3  # and end orders of magnitude below it ("annihilation")
STEP_AT, STEP_FACTOR = (0.5, 0.75), 0.1  # ResNet on CIFAR: a tenth after 1/2 and after 3/4 of the training


def learning_rate_factor(schedule: str, step: int, steps: int, warmup: float = 0.0) -> float:
    """Return the factor, in (0, 1], of the peak learning rate for step number `step` (0-based) of `steps`.

    schedule: one of `SCHEDULES`. warmup: the fraction of all steps, in [0, 1), in which the rate climbs to its peak.
    The middle of the step is what counts, so that neither the first nor the last step is wasted on a rate of zero.
    """
    progress = (step + 0.5) / steps  # in (0, 1)
    if progress < warmup:
        climbed = progress / warmup
        return _cosine(ONE_CYCLE_START, 1.0, climbed) if schedule == "one_cycle" else climbed
    after = (progress - warmup) / (1.0 - warmup)  # in (0, 1)
    if schedule == "one_cycle":
        return _cosine(1.0, ONE_CYCLE_END, after)
    if schedule == "cosine":
        return _cosine(1.0, 0.0, after)
    if schedule == "triangular":
        return 1.0 - after
    if schedule == "step":
        return STEP_FACTOR ** sum(progress >= at for at in STEP_AT)
    return 1.0


def _cosine(start: float, end: float, progress: float) -> float:
    """Go from `start` to `end` along half a cosine wave, for `progress` from 0 to 1."""
    return end + (start - end) * (1.0 + math.cos(math.pi * progress)) / 2.0
