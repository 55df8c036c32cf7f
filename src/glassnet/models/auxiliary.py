"""Auxiliary heads: classifiers on the way, which pull the middle of a deep network towards the answer while it learns.

Their losses reach the early layers by a shorter road than the last one's; when the network is used they are left out.

Paper: Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842, section 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from glassnet.models.registry import Classifier


class AuxiliaryClassifier(Classifier):
    """A classifier with further heads on stages of its body.

    `auxiliary` maps a stage's name to a classifier of that stage's output. In training mode a call returns a tuple,
    (logits, the auxiliary logits in the order of the stages), all (N, classes); in evaluation mode the logits alone.
    """

    def __init__(self, body: nn.Sequential, head: nn.Linear, auxiliary: Mapping[str, Classifier]) -> None:
        super().__init__(body, head)
        self.auxiliary = nn.ModuleDict(auxiliary)

    def forward(self, images: Tensor) -> Any:
        """Return logits of `images` (N, C, H, W), in training mode followed by each auxiliary head's."""
        if not self.training:
            return super().forward(images)
        x, said = images, []
        for name, stage in self.body.named_children():
            x = stage(x)
            if name in self.auxiliary:
                said.append(self.auxiliary[name](x))
        return (self.head(x), *said)

    def replace_head(self, classes: int) -> None:
        """Put fresh heads for `classes` in place of the old ones, with small random weights."""
        super().replace_head(classes)
        for classifier in self.auxiliary.values():
            assert isinstance(classifier, Classifier)
            classifier.replace_head(classes)
