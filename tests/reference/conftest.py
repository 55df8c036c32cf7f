"""What the reference is held against: torch's forward step and automatic differentiation, in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

TorchSays = Callable[..., tuple[np.ndarray, list[np.ndarray]]]


@pytest.fixture(scope="session")
def torch_says() -> TorchSays:
    """A function (function of tensors, gradient of its output, arrays) -> its output, the gradient of each array."""

    def say(
        function: Callable[..., torch.Tensor], dy: np.ndarray, *arrays: np.ndarray
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        tensors = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]
        y = function(*tensors)
        y.backward(torch.tensor(dy, dtype=torch.float64))
        return y.detach().numpy(), [tensor.grad.numpy() for tensor in tensors if tensor.grad is not None]

    return say
