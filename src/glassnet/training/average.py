"""An exponential moving average of the weights: the network that is validated and kept when a recipe asks for it.

Averaging the end of the path that the optimiser takes lands nearer the middle of the valley (Polyak and Juditsky 1992;
as a moving average, Tarvainen and Valpola 2017, arXiv:1703.01780).
"""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """A copy of `module`, in evaluation mode, that follows it at `decay`; batch-norm statistics are averaged too.

    Early on the average forgets faster, decay (1 + t) / (10 + t) at update t, so that it does not remember the start.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        pairs = list(zip(self.module.state_dict().values(), module.state_dict().values(), strict=True))
        # state_dict gives the tensors themselves, so these lists stay true while both modules live.
        self._averaged = [ours for ours, _ in pairs if ours.is_floating_point()]
        self._followed = [theirs for _, theirs in pairs if theirs.is_floating_point()]
        self._copies = [(ours, theirs) for ours, theirs in pairs if not ours.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Move a little towards the module's weights of now."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self._averaged, self._followed, 1.0 - decay)
        for ours, theirs in self._copies:
            ours.copy_(theirs)
        self.updates += 1
