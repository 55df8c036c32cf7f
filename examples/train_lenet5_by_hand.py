"""Train LeNet-5 on 10,000 small pictures of clothes with nothing but NumPy, then count on 2,000 others what it learned.

    python examples/train_lenet5_by_hand.py

Learning rate and epochs were chosen on 1,500 of the training pictures, held out; the test pictures judged once.
"""

from __future__ import annotations

import time

import numpy as np

from glassnet.data import builtin
from glassnet.reference.lenet5 import Parameters
from glassnet.reference.train import lenet5_accuracy, train_lenet5


def main(epochs: int = 10, learning_rate: float = 0.02, seed: int = 0) -> float:
    """Train, say how it went, and return the share of test pictures that are named rightly."""
    data = builtin.load("fashion-mini")
    assert isinstance(data, builtin.ArrayData)
    pictures = data.images.transpose(0, 3, 1, 2).astype(np.float32)  # (N, 28, 28, 1) -> (N, 1, 28, 28)
    train, test = ~data.is_test, data.is_test
    pictures = (pictures - pictures[train].mean()) / pictures[train].std()
    wall, processor = time.perf_counter(), time.process_time()

    def say(epoch: int, loss: float, _: Parameters) -> None:
        print(f"epoch {epoch}: loss {loss:.3f}, {time.perf_counter() - wall:.0f} s", flush=True)

    parameters = train_lenet5(
        pictures[train], data.labels[train], epochs=epochs, learning_rate=learning_rate, seed=seed, after_epoch=say
    )
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    accuracy = lenet5_accuracy(parameters, pictures[test], data.labels[test])
    print(f"test accuracy {accuracy:.1%} after {wall:.0f} s ({processor:.0f} s of processor time)")
    return accuracy


if __name__ == "__main__":
    main()
