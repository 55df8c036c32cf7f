"""The kinds of arrays here: floating-point numbers of any precision, which every layer keeps; whole numbers; marks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Booleans = NDArray[np.bool_]
Integers = NDArray[np.integer]
