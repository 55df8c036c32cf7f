"""A classifier that scores every position and averages the scores, in place of dense layers on top.

Each class gets a map of where it is seen, and its logit is the map's mean: no weights to overfit with, any picture
size, and the map itself shows the reason. Network in Network brought it, SqueezeNet took it over.

Paper: Lin, Chen, Yan 2013, "Network in network", arXiv:1312.4400, section 3.2.
Here: the 1x1 convolution that scores is `head`, a dense layer applied at every position, so that body and head mean
what they mean in every other network: `body` ends in the mean of the feature maps. With rectified scores the mean of
the scores is not the score of the mean; without, it is, and both ways give the same logits.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.errors import InputError
from glassnet.models.registry import Classifier
from glassnet.nn.layers import GlobalAveragePool
from glassnet.nn.layers.blocks import PointwiseLinear


class ScoreMapClassifier(Classifier):
    """A classifier whose logits are the means of score maps: mean(relu(head(feature maps))).

    `stages` end in feature maps (N, D, H, W); `body` is these and their mean, (N, D). With `rectify` the score maps
    pass a ReLU, as in the papers. `border` is the width of a frame of zeros around the feature maps, where the scores
    are the head's biases (1 in Caffe's SqueezeNet 1.0). A head that was replaced or fitted as a linear probe is not
    rectified: a class whose fresh scores happen to be below zero everywhere would never learn, and a probe's logits are
    linear. The logits then are head(body(images)), as in any network.
    """

    head: PointwiseLinear

    def __init__(
        self, stages: OrderedDict[str, nn.Module], features: int, classes: int, *, rectify: bool, border: int = 0
    ) -> None:
        if border < 0 or (border and not rectify):
            raise InputError(f"border is {border}; expected 0 or more, and 0 where the scores are not rectified")
        body = nn.Sequential(OrderedDict(**stages, pool=GlobalAveragePool()))
        super().__init__(body, PointwiseLinear(features, classes))
        self.act = nn.ReLU()
        self.rectify, self.border = rectify, border

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) of `images` (N, C, H, W) float, as the preprocess makes them."""
        if not self.rectify:
            return super().forward(images)
        logits: Tensor = self.body.get_submodule("pool")(self.act(self.score_maps(images)))
        return logits

    def score_maps(self, images: Tensor) -> Tensor:
        """Return each class's score at each position, (N, classes, H', W'), before ReLU and mean."""
        *stages, _ = self.body.children()
        maps = images
        for stage in stages:
            maps = stage(maps)  # at last (N, D, H', W')
        if self.rectify and self.border:
            maps = F.pad(maps, (self.border,) * 4)
        scores: Tensor = self.head(maps)
        return scores

    @property
    def changed_arguments(self) -> dict[str, Any]:
        """What the card must say beside the arguments that the network was built with."""
        if self.rectify:
            return {}
        return {"rectify": False, "border": 0} if self.border else {"rectify": False}

    def linearise_head(self) -> None:
        """Make the logits linear in the features: head(body(images))."""
        self.rectify = False

    def replace_head(self, classes: int) -> None:
        """Put a fresh, linear head for `classes` in place of the old one."""
        super().replace_head(classes)
        self.linearise_head()

    def _fresh_head(self, classes: int) -> PointwiseLinear:
        return PointwiseLinear(self.features_size, classes)
