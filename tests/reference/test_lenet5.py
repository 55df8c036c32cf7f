"""The NumPy LeNet-5 is the LeNet-5 of the registry: the same count, logits and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from glassnet.models import registry
from glassnet.reference.finite_differences import numerical_gradient
from glassnet.reference.lenet5 import Parameters, lenet5_backward, lenet5_forward, lenet5_parameters
from glassnet.reference.losses import softmax_cross_entropy_backward, softmax_cross_entropy_forward


def in_double_precision(seed: int) -> Parameters:
    generator = np.random.default_rng(seed)
    parameters = lenet5_parameters(generator)
    return {name: value + 0.1 * generator.standard_normal(value.shape) for name, value in parameters.items()}


def test_it_has_as_many_parameters_as_the_paper_commonly_gets() -> None:
    parameters = lenet5_parameters(np.random.default_rng(0))
    assert sum(value.size for value in parameters.values()) == 61_706
    assert parameters["W3"].std() == pytest.approx((2 / 400) ** 0.5, rel=0.02)  # 48,000 draws
    assert {value.dtype for value in parameters.values()} == {np.dtype(np.float32)}


def test_logits_and_gradients_are_those_of_the_registrys_network() -> None:
    parameters = in_double_precision(0)
    network = registry.create("lenet5", classes=10, in_channels=1).double()
    with torch.no_grad():
        for tensor, array in zip(network.parameters(), parameters.values(), strict=True):
            tensor.copy_(torch.tensor(array))
    generator = np.random.default_rng(1)
    pictures, labels = generator.standard_normal((3, 1, 28, 28)), np.array([2, 0, 9])
    logits, caches = lenet5_forward(pictures, parameters)
    _, cache = softmax_cross_entropy_forward(logits, labels)
    gradients = lenet5_backward(softmax_cross_entropy_backward(cache), caches)

    theirs = network(torch.tensor(pictures))
    np.testing.assert_allclose(logits, theirs.detach().numpy(), atol=1e-9)
    F.cross_entropy(theirs, torch.tensor(labels)).backward()
    assert gradients.keys() == parameters.keys()
    for name, tensor in zip(parameters, network.parameters(), strict=True):
        assert tensor.grad is not None
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), atol=1e-9, err_msg=name)


def test_the_biases_gradients_are_what_finite_differences_say() -> None:
    parameters = in_double_precision(2)
    pictures, labels = np.random.default_rng(3).standard_normal((1, 1, 28, 28)), np.array([4])
    logits, caches = lenet5_forward(pictures, parameters)
    gradients = lenet5_backward(
        softmax_cross_entropy_backward(softmax_cross_entropy_forward(logits, labels)[1]), caches
    )

    def loss() -> float:
        return softmax_cross_entropy_forward(lenet5_forward(pictures, parameters)[0], labels)[0]

    for name in ("b1", "b2", "b5"):  # what reaches the first bias went through every backward step
        expected = numerical_gradient(loss, parameters[name], step=1e-6)
        np.testing.assert_allclose(gradients[name], expected, rtol=1e-4, atol=1e-6)
