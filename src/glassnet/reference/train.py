"""Training by stochastic gradient descent with momentum: the loop, written out.

Goodfellow, Bengio, Courville 2016, Deep Learning, algorithm 8.2; the learning rate falls to zero on a straight line.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glassnet.reference.arrays import Floats, Integers
from glassnet.reference.lenet5 import Parameters, lenet5_backward, lenet5_forward, lenet5_parameters
from glassnet.reference.losses import softmax_cross_entropy_backward, softmax_cross_entropy_forward


def train_lenet5(
    pictures: Floats,
    labels: Integers,
    *,
    epochs: int = 10,
    batch_size: int = 64,
    learning_rate: float = 0.02,
    momentum: float = 0.9,
    seed: int = 0,
    after_epoch: Callable[[int, float, Parameters], None] | None = None,
) -> Parameters:
    """Train on pictures (N, 1, 28, 28) float32 of mean about 0 and deviation about 1; return the parameters.

    labels (N,) are class numbers from 0 on. `after_epoch` is told the epoch from 1 on, the mean loss while it ran, and
    the parameters as they are.
    """
    generator = np.random.default_rng(seed)
    parameters = lenet5_parameters(generator, classes=int(labels.max()) + 1)
    velocity = {name: np.zeros_like(value) for name, value in parameters.items()}
    steps, step = epochs * -(-len(pictures) // batch_size), 0
    for epoch in range(1, epochs + 1):
        order, losses = generator.permutation(len(pictures)), 0.0
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            logits, caches = lenet5_forward(pictures[batch], parameters)
            loss, cache = softmax_cross_entropy_forward(logits, labels[batch])
            gradients = lenet5_backward(softmax_cross_entropy_backward(cache), caches)
            rate = learning_rate * (1 - step / steps)
            for name, gradient in gradients.items():
                velocity[name] = momentum * velocity[name] - rate * gradient
                parameters[name] += velocity[name]
            losses += loss * len(batch)
            step += 1
        if after_epoch is not None:
            after_epoch(epoch, losses / len(pictures), parameters)
    return parameters


def lenet5_accuracy(parameters: Parameters, pictures: Floats, labels: Integers, batch_size: int = 500) -> float:
    """Return the share of pictures whose largest logit is that of their label."""
    starts = range(0, len(pictures), batch_size)
    guesses = [lenet5_forward(pictures[s : s + batch_size], parameters)[0].argmax(1) for s in starts]
    return float((np.concatenate(guesses) == labels).mean())
