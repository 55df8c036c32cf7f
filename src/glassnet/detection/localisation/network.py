"""The network: the body of any classifier and one head that says pc, the box and the class.

A box needs to know where things are, which a pooling over all positions forgets. Where a body ends in one, it is left
out: a 1x1 convolution narrows the maps, and a dense layer reads them flattened, every position with weights of its own.
A body that ends in dense layers (VGG, AlexNet, LeNet-5) has read the positions already and stays as it is; so does one
that pools inside its last trained stage (sprint).
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from glassnet.errors import InputError
from glassnet.models.registry import Classifier
from glassnet.nn.trace import on_meta

WIDTH = 64
"""Channels that the head reads of each position."""


class LocalisationNetwork(nn.Module):
    """`head(body(images))`: images (N, C, H, W) -> (N, 5 + classes) logits of (pc, bx, by, bh, bw, c1 ... cK).

    `body` is the backbone's, with its weights, but for a pooling over all positions at its end; the backbone's head is
    not used. The input's size is fixed, `backbone.input_size`, since the head knows each position.
    """

    def __init__(self, backbone: Classifier, classes: int) -> None:
        super().__init__()
        if classes < 1:
            raise InputError(f"classes is {classes}; expected at least 1")
        self.input_size = backbone.input_size
        try:
            self.body = without_pooling(backbone.body, self.input_size)
        except RuntimeError as error:
            channels, height, width = self.input_size
            raise InputError(
                f"the network takes no pictures of {height}x{width} with {channels} channels ({error}); "
                "give the size that it was made for, or another network"
            ) from error
        with torch.no_grad():
            shape = tuple(on_meta(self.body).eval()(torch.empty(1, *self.input_size, device="meta")).shape[1:])
        self.head = head_on_maps(shape, 5 + classes) if len(shape) == 3 else nn.Linear(shape[0], 5 + classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return what is said of `images` (N, C, H, W) float, as the preprocess makes them: (N, 5 + classes)."""
        said: Tensor = self.head(self.body(images))
        return said


def head_on_maps(shape: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Return a head from maps of `shape` (D, h, w) to so many numbers."""
    channels, height, width = shape
    return nn.Sequential(
        OrderedDict(
            narrow=nn.Conv2d(channels, WIDTH, 1),  # (N, 64, h, w)
            act=nn.ReLU(),
            flatten=nn.Flatten(),
            said=nn.Linear(WIDTH * height * width, outputs),
        )
    )


def without_pooling(body: nn.Sequential, input_size: tuple[int, int, int]) -> nn.Sequential:
    """Return `body` without what follows its last maps, if that has nothing to train: a pooling, a flattening."""
    stages = list(body.named_children())
    maps = 0
    with torch.no_grad():
        x = torch.empty(1, *input_size, device="meta")
        for number, (_, stage) in enumerate(stages, 1):
            x = on_meta(stage).eval()(x)
            maps = number if x.ndim == 4 else maps
    rest = [parameter for _, stage in stages[maps:] for parameter in stage.parameters()]
    return body if rest or maps == len(stages) else nn.Sequential(OrderedDict(stages[:maps]))
