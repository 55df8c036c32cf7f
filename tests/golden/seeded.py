"""What both sides of the comparison with other packages make for themselves: pictures, weights, and what is recorded.

`make_torchvision.py` feeds these to torchvision's and timm's networks and writes down the outputs; the tests feed the
same to ours. Nothing here knows torchvision, and no weights are stored: each tensor follows from its name and shape.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

GOLDEN = Path(__file__).with_name("torchvision.json")
PHOTOS = ("astronaut", "chelsea", "coffee")
CLASSES = 12  # outputs of the compared networks; no other layer has as many
SIDE = 96  # pixels
CHANNELS, VALUES = 8, 8  # recorded of a stage: the means of the first channels, and values from all over it
BLOCK = 1_000_003  # numbers drawn for a tensor; a prime, so that what repeats in a larger one never lines up in rows


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network of somebody else's: how it is called here and there, and which two stages are compared.

    stages: our module -> theirs. quiet: batch norms at the end of residual branches, with small scales, so that fifty
    blocks do not add up to numbers in which rounding would show. scale, head: the size of the other batch norms' scales
    and of the head's weights, so that logits are about one and tell the pictures apart. further: heads of ours ->
    theirs that evaluation does not use; they are given the output of `FED_BY` (ours: of the stage in their name).
    """

    ours: str
    layout: str
    theirs: str
    stages: Mapping[str, str]
    further: Mapping[str, str] = field(default_factory=dict)
    quiet: str = "$^"
    scale: float = 1.0
    head: float = 0.3
    slow: bool = False


FED_BY = {"aux1": "inception4a", "aux2": "inception4d"}
RESNET = {"body.stage2": "layer2", "body.stage4": "layer4"}
LITE = {"body.stage3": "blocks.2", "body.stage7": "blocks.6"}


def _vgg(depth: int, norm: str, third: int, last: int, slow: bool) -> Case:
    stages = {"body.stage3": f"features.{third}", "body.stage5": f"features.{last}"}
    name = f"vgg{depth}{norm}"
    return Case(ours=name, layout="torchvision", theirs=name, stages=stages, slow=slow)


CASES = (
    _vgg(11, "", 10, 20, slow=True),
    _vgg(11, "_bn", 14, 28, slow=False),
    _vgg(13, "", 14, 24, slow=True),
    _vgg(13, "_bn", 20, 34, slow=True),
    _vgg(16, "", 16, 30, slow=False),
    _vgg(16, "_bn", 23, 43, slow=True),
    _vgg(19, "", 18, 36, slow=True),
    _vgg(19, "_bn", 26, 52, slow=True),
    *(
        Case(ours=name, layout="torchvision", theirs=name, stages=RESNET, quiet=quiet, slow=slow)
        for name, quiet, slow in (
            ("resnet18", r"layer\d\.\d+\.bn2\.", False),
            ("resnet34", r"layer\d\.\d+\.bn2\.", True),
            ("resnet50", r"layer\d\.\d+\.bn3\.", False),
            ("resnet101", r"layer\d\.\d+\.bn3\.", True),
            ("resnet152", r"layer\d\.\d+\.bn3\.", True),
        )
    ),
    Case(
        ours="alexnet",
        layout="torchvision",
        theirs="alexnet",
        stages={"body.conv2": "features.5", "body.conv5": "features.12"},
    ),
    Case(
        ours="googlenet_bn",
        layout="torchvision",
        theirs="googlenet",
        stages={"body.inception3b": "inception3b", "body.inception5b": "inception5b"},
        further={"auxiliary.inception4a": "aux1", "auxiliary.inception4d": "aux2"},
        scale=1.1,
        head=1.0,
    ),
    *(
        Case(ours=name, layout="torchvision", theirs=name, stages=stages, head=head)
        for name, head, stages in (
            ("squeezenet1_0", 2.0, {"body.fire4": "features.5", "body.fire9": "features.12"}),
            ("squeezenet1_1", 10.0, {"body.fire4": "features.6", "body.fire9": "features.12"}),
        )
    ),
    Case(
        ours="mobilenet_v1",
        layout="timm",
        theirs="timm/mobilenetv1_100",
        stages={"body.stage2": "blocks.1", "body.stage5": "blocks.4"},
        scale=1.5,
        head=1.0,
    ),
    Case(
        ours="mobilenet_v2",
        layout="torchvision",
        theirs="mobilenet_v2",
        stages={"body.stage3": "features.6", "body.features": "features.18"},
        head=1.0,
    ),
    Case(ours="efficientnet_lite0", layout="timm", theirs="timm/efficientnet_lite0", stages=LITE, head=1.0),
    Case(
        ours="efficientnet_lite0",
        layout="timm_tf",
        theirs="timm/tf_efficientnet_lite0",
        stages=LITE,
        head=1.0,
    ),
)


def tensor(name: str, shape: tuple[int, ...], case: Case) -> npt.NDArray[np.generic]:
    """Return the tensor called `name` in somebody else's network: random, but a function of name and shape alone."""
    if name.endswith("num_batches_tracked"):
        return np.array(7, np.int64)
    key = hashlib.sha256(f"{name} {shape}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(key[:8], "little"))
    if name.endswith("running_var"):
        return rng.uniform(0.5, 2.0, shape).astype(np.float32)
    if name.endswith("weight") and len(shape) == 1:  # the scale of a batch norm
        scale = 0.2 if re.match(case.quiet, name) else case.scale
        return (scale * rng.uniform(0.6, 1.3, shape)).astype(np.float32)
    size = int(np.prod(shape))
    numbers = np.resize(rng.standard_normal(min(size, BLOCK), dtype=np.float32), size).reshape(shape)
    if len(shape) == 1:  # biases and running means
        return np.float32(0.1) * numbers
    gain = case.head if shape[0] == CLASSES else 2.0**0.5  # He's
    return np.float32(gain / np.prod(shape[1:]) ** 0.5) * numbers


def pictures(photos: Mapping[str, npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
    """Return (4, 3, SIDE, SIDE) float32, about -2 to 2: the photos (H, W, 3), each pixel a 3x3 mean, and noise."""
    batch = np.empty((len(PHOTOS) + 1, 3, SIDE, SIDE), np.float32)
    for number, name in enumerate(PHOTOS):
        photo = photos[name]
        top, left = (photo.shape[0] - 3 * SIDE) // 2, (photo.shape[1] - 3 * SIDE) // 2
        square = photo[top : top + 3 * SIDE, left : left + 3 * SIDE, :3].astype(np.int64)
        sums = square.reshape(SIDE, 3, SIDE, 3, 3).sum((1, 3))  # (SIDE, SIDE, 3): whole numbers, the same everywhere
        batch[number] = ((sums.transpose(2, 0, 1) / (9 * 255)) - 0.45) / 0.25
    batch[-1] = np.random.default_rng(0).standard_normal((3, SIDE, SIDE), dtype=np.float32)
    return batch


def summary(output: npt.NDArray[np.float32]) -> list[list[float]]:
    """Return for each picture a few numbers that speak for a stage's output (N, C, H, W)."""
    means = output.mean((2, 3), dtype=np.float64)[:, :CHANNELS]
    flat = output.reshape(len(output), -1)
    values = flat[:, :: flat.shape[1] // VALUES][:, :VALUES]
    return [[round(float(v), 7) for v in row] for row in np.concatenate([means, values], axis=1)]


def shapes_key(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return a hash of all names and shapes of a state dict."""
    lines = sorted(f"{name} {tuple(shape)}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def golden() -> dict[str, dict[str, object]]:
    """Return what was recorded, by the network's name there."""
    found: dict[str, dict[str, object]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return found
