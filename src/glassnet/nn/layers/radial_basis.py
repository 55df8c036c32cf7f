"""The output layer of LeNet-5: the class is the code that lies nearest to what the network says.

Each class has a fixed code of 84 numbers, a 7x12 picture of its character in +1 and -1, and an output is the squared
distance to it. Characters that look alike have codes that look alike, so a later stage can weigh them against a
dictionary; and a distance, unlike a weighted sum, is also large for what is no character at all.

Paper: LeCun, Bottou, Bengio, Haffner 1998, Proc. IEEE 86, section II.B and figure 3. Here: the bitmaps are drawn anew,
for ten classes; for any other number of classes the codes are random.
"""

from __future__ import annotations

import math
import random

import torch
from torch import Tensor, nn

from glassnet.errors import InputError

WIDTH, HEIGHT = 7, 12
CODE = WIDTH * HEIGHT
SEED = 1998  # of the random codes; they are part of the network, not of a training, and the same for every seed

_DIGITS = """
..###.. ...#... .#####. .#####. ....##. ####### ..####. ####### .#####. .#####.
.##.##. ..##... ##...## ##...## ...###. ##..... .##.... .....## ##...## ##...##
##...## .###... .....## .....## ..#.##. ##..... ##..... .....## ##...## ##...##
##...## ..##... .....## .....## .##.##. ##..... ##..... ....##. ##...## ##...##
##...## ..##... ....##. ....##. .#..##. ######. ######. ....##. .##.##. ##...##
##...## ..##... ...##.. ..###.. ##..##. ##...## ##...## ...##.. ..###.. .######
##...## ..##... ..##... ....##. ##..##. .....## ##...## ...##.. .##.##. .....##
##...## ..##... .##.... .....## ####### .....## ##...## ..##... ##...## .....##
##...## ..##... ##..... .....## ....##. .....## ##...## ..##... ##...## .....##
##...## ..##... ##..... .....## ....##. .....## ##...## ..##... ##...## .....##
.##.##. ..##... ##...## ##...## ....##. ##...## .##.##. .##.... ##...## ....##.
..###.. .####.. ####### .#####. ....##. .#####. ..###.. .##.... .#####. .####..
"""


def digit_codes() -> list[list[float]]:
    """Return the codes of the digits 0 to 9, 84 numbers each: +1 where the stroke is, -1 elsewhere, row by row."""
    rows = [line.split() for line in _DIGITS.split("\n") if line]
    return [[1.0 if mark == "#" else -1.0 for row in rows for mark in row[digit]] for digit in range(10)]


def random_codes(classes: int, size: int) -> list[list[float]]:
    """Return `classes` codes of `size` numbers, +1 or -1 by a generator with a fixed seed.

    Two of them differ in about half of their places, which is as far apart as many codes can lie.
    """
    generator = random.Random(SEED)
    return [[generator.choice((-1.0, 1.0)) for _ in range(size)] for _ in range(classes)]


class RadialBasisOutput(nn.Module):
    """-squared distance to each class's code / (2 variance): (N, D) -> (N, K) logits.

    For ten classes and D = 84 the codes are bitmaps of the digits, else random; they are not trained. The paper's
    outputs are the squared distances, of which the smallest wins; with the sign turned the largest wins, as in every
    network. The logit is the logarithm of a Gaussian around the code, so softmax gives the probabilities of classes
    that are such Gaussians. With a variance of 1/2, cross-entropy on it is the paper's criterion of maximum a
    posteriori (its equation 9), but for the paper's constant class for what is no character. Here the variance is
    sqrt(D), 9.2: then the logits of a fresh network differ as much as those of a dense layer, and learning rates fit
    that fit other networks; at a variance of 1 and the rate 0.1 of our recipes, training on MNIST diverged.

    Its multiplications belong to no convolution or dense layer and are not counted. A leaf of the trace.
    """

    codes: Tensor

    def __init__(self, in_features: int, classes: int, *, variance: float | None = None) -> None:
        super().__init__()
        if in_features < 1 or classes < 1:
            raise InputError(
                f"an output of {classes} classes for {in_features} features; expected at least one of each"
            )
        self.in_features, self.out_features = in_features, classes
        self.variance = math.sqrt(in_features) if variance is None else variance
        digits = (in_features, classes) == (CODE, 10)
        self.register_buffer("codes", torch.tensor(digit_codes() if digits else random_codes(classes, in_features)))

    def forward(self, x: Tensor) -> Tensor:
        """Score `x`."""
        return self.distances(x) / (-2 * self.variance)

    def distances(self, x: Tensor) -> Tensor:
        """Return the squared distances (N, K) of `x` (N, D) to the codes: the paper's outputs."""
        return (x.unsqueeze(1) - self.codes).square().sum(2)

    def extra_repr(self) -> str:
        """Return the setting."""
        return f"in_features={self.in_features}, out_features={self.out_features}, variance={self.variance:.3g}"
