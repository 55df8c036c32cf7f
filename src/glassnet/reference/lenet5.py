"""LeNet-5, forward and backward, out of the layers of this folder and nothing else.

LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition", in the form commonly
built today: ReLU, max pooling, all maps of the second convolution see all of the first, a linear layer at the end.
Pictures are (N, 1, 28, 28); 61,706 parameters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glassnet.reference.activations import relu_backward, relu_forward
from glassnet.reference.arrays import Floats
from glassnet.reference.convolution import convolution_backward, convolution_forward
from glassnet.reference.dense import dense_backward, dense_forward
from glassnet.reference.joining import flatten_backward, flatten_forward
from glassnet.reference.pooling import max_pooling_backward, max_pooling_forward

Parameters = dict[str, Floats]
"""Weights W1 .. W5 and biases b1 .. b5."""
Caches = tuple[Any, ...]
"""Every layer's cache, the first layer's first."""


def lenet5_parameters(generator: np.random.Generator, classes: int = 10) -> Parameters:
    """Draw weights from a normal distribution of variance 2 / inputs, which keeps ReLUs' variance; biases are zero.

    (He, Zhang, Ren and Sun 2015, "Delving deep into rectifiers", arXiv:1502.01852, equation 10.)
    """
    shapes = [(6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (classes, 84)]
    parameters: Parameters = {}
    for number, shape in enumerate(shapes, 1):
        inputs = int(np.prod(shape[1:]))
        parameters[f"W{number}"] = (generator.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32)
        parameters[f"b{number}"] = np.zeros(shape[0], np.float32)
    return parameters


def lenet5_forward(pictures: Floats, p: Parameters) -> tuple[Floats, Caches]:
    """Return the logits (N, classes) of pictures (N, 1, 28, 28), and every layer's cache."""
    z1, conv1 = convolution_forward(pictures, p["W1"], p["b1"], padding=2)  # (N, 6, 28, 28)
    a1, relu1 = relu_forward(z1)
    s1, pool1 = max_pooling_forward(a1, 2)  # (N, 6, 14, 14)
    z2, conv2 = convolution_forward(s1, p["W2"], p["b2"])  # (N, 16, 10, 10)
    a2, relu2 = relu_forward(z2)
    s2, pool2 = max_pooling_forward(a2, 2)  # (N, 16, 5, 5)
    flat, flatten = flatten_forward(s2)  # (N, 400)
    z3, dense3 = dense_forward(flat, p["W3"], p["b3"])  # (N, 120)
    a3, relu3 = relu_forward(z3)
    z4, dense4 = dense_forward(a3, p["W4"], p["b4"])  # (N, 84)
    a4, relu4 = relu_forward(z4)
    logits, dense5 = dense_forward(a4, p["W5"], p["b5"])  # (N, classes)
    return logits, (conv1, relu1, pool1, conv2, relu2, pool2, flatten, dense3, relu3, dense4, relu4, dense5)


def lenet5_backward(dlogits: Floats, caches: Caches) -> Parameters:
    """Return the gradient of every parameter: the forward pass read from the bottom to the top."""
    conv1, relu1, pool1, conv2, relu2, pool2, flatten, dense3, relu3, dense4, relu4, dense5 = caches
    d: Parameters = {}
    da4, d["W5"], d["b5"] = dense_backward(dlogits, dense5)
    da3, d["W4"], d["b4"] = dense_backward(relu_backward(da4, relu4), dense4)
    dflat, d["W3"], d["b3"] = dense_backward(relu_backward(da3, relu3), dense3)
    da2 = max_pooling_backward(flatten_backward(dflat, flatten), pool2)
    ds1, d["W2"], d["b2"] = convolution_backward(relu_backward(da2, relu2), conv2)
    da1 = max_pooling_backward(ds1, pool1)
    _, d["W1"], d["b1"] = convolution_backward(relu_backward(da1, relu1), conv1)
    return d
