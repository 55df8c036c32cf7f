"""Deletion and insertion: does the class vanish with the pixels said to matter, and appear with them?

Petsiuk et al. 2018, arXiv:1806.07421, section 4.2. Pixels go in the order of their importance, the same share at every
step. Deletion replaces them by the mean colour, insertion begins with the picture out of focus and puts them back. Each
curve is the class's probability; its area (the mean height, from 0 to 1) is low for a good deletion, high for a good
insertion. Both leave pictures that the network never saw, so the numbers compare methods and prove none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glassnet.errors import InputError
from glassnet.explain.attributions import blurred
from glassnet.explain.case import Case
from glassnet.explain.judging.importance import Floats

BATCH = 32  # changed pictures computed at a time
FOCUS = 16  # the deviation of the blur is the picture's shorter side by this, and at least a pixel


@dataclass(frozen=True, eq=False)
class Curves:
    """The class's probability after each step, (steps + 1,) float: pixels deleted, and pixels inserted."""

    deletion: Floats
    insertion: Floats

    @property
    def deleted(self) -> float:
        """The area under the deletion curve, in [0, 1]; less is better."""
        return area(self.deletion)

    @property
    def inserted(self) -> float:
        """The area under the insertion curve, in [0, 1]; more is better."""
        return area(self.insertion)


def curves(case: Case, important: Floats, *, steps: int = 30, seed: int = 0) -> Curves:
    """Return both curves of the case's class for pixels in the order of `important` (H, W), in 2 (steps + 1) forwards.

    Pixels of equal importance go in an order that `seed` decides. Raises `InputError` for fewer than 1 step.
    """
    if steps < 1:
        raise InputError(f"steps is {steps}; expected at least 1")
    place = torch.from_numpy(order(important, seed))  # (H, W): 0 goes first
    counts = [round(step * place.numel() / steps) for step in range(steps + 1)]
    empty = torch.zeros_like(case.images)
    unfocused = blurred(case.images, max(1.0, min(case.size) / FOCUS))
    return Curves(
        _probabilities(case, place, counts, before=case.images, after=empty),
        _probabilities(case, place, counts, before=unfocused, after=case.images),
    )


def order(important: Floats, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return each pixel's place in the order of falling importance, (H, W), ties broken at random by `seed`."""
    values = np.asarray(important).ravel()
    tie = np.random.default_rng(seed).permutation(values.size)
    places = np.empty(values.size, np.int64)
    places[np.lexsort((tie, -values))] = np.arange(values.size)
    return places.reshape(important.shape)


def area(curve: Floats) -> float:
    """Return the mean height of a curve with evenly spaced points: the trapezoids' area over a width of 1."""
    return float((curve[1:] + curve[:-1]).mean() / 2)


def _probabilities(case: Case, place: Tensor, counts: list[int], *, before: Tensor, after: Tensor) -> Floats:
    """Return the class's probability where the first so many pixels are `after` and the others `before`."""
    found = []
    for start in range(0, len(counts), BATCH):
        changed = torch.stack([place < count for count in counts[start : start + BATCH]])[:, None]  # (B, 1, H, W)
        logits = case.predictor(torch.where(changed, after, before)).float().cpu()
        found.append(case.to_probabilities(logits)[:, case.target])
    return torch.cat(found).numpy()
