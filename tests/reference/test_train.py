"""The training loop: its first steps by hand, that it learns by heart, and that it learns to tell clothes apart."""

from __future__ import annotations

import runpy
import time
from pathlib import Path

import numpy as np
import pytest

from glassnet.reference.lenet5 import Parameters, lenet5_backward, lenet5_forward, lenet5_parameters
from glassnet.reference.losses import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from glassnet.reference.train import lenet5_accuracy, train_lenet5

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "train_lenet5_by_hand.py"


def few_pictures(count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    pictures = np.random.default_rng(0).standard_normal((count, 1, 28, 28)).astype(np.float32)
    return pictures, np.arange(count) % 4


def gradients(parameters: Parameters, pictures: np.ndarray, labels: np.ndarray) -> Parameters:
    logits, caches = lenet5_forward(pictures, parameters)
    return lenet5_backward(softmax_cross_entropy_backward(softmax_cross_entropy_forward(logits, labels)[1]), caches)


def test_the_first_two_steps_by_hand() -> None:
    pictures, labels = few_pictures(6)
    trained = train_lenet5(pictures, labels, epochs=2, batch_size=6, learning_rate=0.1, momentum=0.5, seed=7)
    start = lenet5_parameters(np.random.default_rng(7), classes=4)
    first = gradients(start, pictures, labels)
    middle = {name: start[name] - 0.1 * first[name] for name in start}
    second = gradients(middle, pictures, labels)
    for name in start:  # half of the first step again, and a step at half the rate: the line from 0.1 to 0
        by_hand = middle[name] - 0.5 * 0.1 * first[name] - 0.05 * second[name]
        np.testing.assert_allclose(trained[name], by_hand, atol=1e-5)


def test_it_learns_a_few_pictures_by_heart_and_tells_of_every_epoch() -> None:
    pictures, labels = few_pictures()
    told: list[tuple[int, float]] = []
    parameters = train_lenet5(
        pictures,
        labels,
        epochs=12,
        batch_size=8,
        learning_rate=0.02,
        after_epoch=lambda epoch, loss, _: told.append((epoch, loss)),
    )
    epochs, losses = zip(*told, strict=True)
    assert epochs == tuple(range(1, 13))
    assert losses[0] > 1
    assert losses[-1] < 0.1
    assert lenet5_accuracy(parameters, pictures, labels, batch_size=7) == 1
    assert lenet5_accuracy(parameters, pictures, (labels + 1) % 4) == 0


def test_the_seed_decides() -> None:
    pictures, labels = few_pictures(8)
    one, same, other = (train_lenet5(pictures, labels, epochs=1, batch_size=4, seed=seed) for seed in (1, 1, 2))
    assert all((one[name] == same[name]).all() for name in one)
    assert (one["W1"] != other["W1"]).any()


@pytest.mark.slow
@pytest.mark.skipif(not EXAMPLE.is_file(), reason=f"{EXAMPLE} is not here")
def test_it_tells_clothes_apart() -> None:
    start = time.process_time()
    accuracy = runpy.run_path(str(EXAMPLE))["main"]()
    assert accuracy >= 0.84
    assert time.process_time() - start < 300  # processor time: the machine may be busy with other things
