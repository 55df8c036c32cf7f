"""Who learns, who chooses, who judges: train, validation and test, drawn by a seed and written down.

The draw is stratified: every class is divided by the same fractions. With groups (one patient, product or video) a
whole group goes to one side.
"""

from __future__ import annotations

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLITS = ("train", "validation", "test")
