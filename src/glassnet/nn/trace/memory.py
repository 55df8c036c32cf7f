"""What a network needs in memory, in bytes: to answer for one picture, and to learn from a batch.

    inference  = weights + batch x (the most that live activations take at one time)
    training   = weights + gradients + the optimiser's state + saved activations

Gradients and state exist for each trained number: one for the gradient, `state` more for the optimiser (1 for the
momentum of SGD, 2 for the means of Adam). Saved activations are what autograd keeps between forward and backward:
inputs of convolutions and dense layers, outputs of rectifiers, places of maxima, masks of dropout. They are not
estimated but asked of autograd itself, in one forward pass on the meta device, where nothing is computed. What a
library needs inside one operation, and the program itself (about 300 MB), comes on top.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from glassnet.errors import InputError
from glassnet.nn.trace.tracing import Trace, on_meta

OPTIMISER_STATE = {"sgd": 1, "adam": 2}
"""Numbers that an optimiser keeps for each trained one: SGD its momentum; Adam (and AdamW) two running means."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes, by what they are for. `peak_activations` are for one picture, `saved_activations` for a whole batch."""

    weights: int
    peak_activations: int
    batch_size: int
    gradients: int
    optimiser_state: int
    saved_activations: int

    @property
    def inference(self) -> int:
        """What answering for one picture takes."""
        return self.weights + self.peak_activations

    @property
    def training(self) -> int:
        """What a training step on a batch takes, at its fullest: when backward begins."""
        return self.weights + self.gradients + self.optimiser_state + self.saved_activations

    def to_dict(self) -> dict[str, int]:
        """Return everything by name, the two sums included."""
        return {**vars(self), "inference": self.inference, "training": self.training}


def memory_of_network(module: nn.Module, traced: Trace, *, batch_size: int = 32, optimiser: str = "sgd") -> Memory:
    """Return what `module` needs for pictures of the trace's size, with the state of `optimiser` (sgd or adam)."""
    trained = sum(_bytes(weight) for weight in module.parameters() if weight.requires_grad)
    return Memory(
        weights=sum(map(_bytes, [*module.parameters(), *module.buffers()])),
        peak_activations=traced.peak_memory,
        batch_size=batch_size,
        gradients=trained,
        optimiser_state=OPTIMISER_STATE[optimiser] * trained,
        saved_activations=saved_activations(module, (batch_size, *traced.input_shape)),
    )


def saved_activations(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Return the bytes that autograd keeps for backward of a batch of `shape` (N, C, H, W), weights not counted.

    Raises `InputError` for a batch too small for the module's batch norms.
    """
    copy = on_meta(module).train()
    own = {_place(tensor) for tensor in [*copy.parameters(), *copy.buffers()]}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[_place(tensor)] = tensor  # the tensor itself too, so that its place in memory is not given away again
        return tensor

    try:
        with saved_tensors_hooks(keep, lambda tensor: tensor), torch.enable_grad():
            copy(torch.empty(shape, device="meta"))
    except ValueError as error:
        raise InputError(f"batch_size is {shape[0]}: {error}; choose a larger one") from error
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own)


def _place(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
