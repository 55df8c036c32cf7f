"""The network and training of Keras's public example "Simple MNIST convnet", in our words, with a clock.

Source: https://keras.io/examples/vision/mnist_convnet/ (F. Chollet, 2015). The same architecture, optimiser,
batch size, number of epochs and share held out. What differs: the test pictures are judged after every epoch, to find
when a target is crossed, and neither that nor reading the data counts as training time.

    python keras_mnist_convnet.py DATA.npz [--epochs 15] [--stop-at 0.90] [--seed 0]

Prints one JSON line per epoch: epoch, seconds (training so far), test_accuracy. Needs `tensorflow-cpu`.
"""

import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers


def build() -> keras.Model:
    """Return the example's network: (N, 28, 28, 1) float in [0, 1] -> (N, 10) probabilities."""
    network = keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    network.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    return network


class Clock(keras.callbacks.Callback):
    """After each epoch, stop the clock, judge the test pictures, print the line, start the clock again."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, stop_at: float, start: float) -> None:
        super().__init__()
        self.images, self.labels, self.stop_at = images, labels, stop_at
        self.start = start

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras's signature
        """Print how far the training is, and end it once the target is reached."""
        paused = time.perf_counter()
        parts = [self.images[at : at + 1000] for at in range(0, len(self.images), 1000)]
        probabilities = np.concatenate([np.asarray(self.model(part, training=False)) for part in parts])
        accuracy = float((probabilities.argmax(1) == self.labels).mean())
        line = {"epoch": epoch + 1, "seconds": round(paused - self.start, 2), "test_accuracy": accuracy}
        print(json.dumps(line), flush=True)
        self.model.stop_training = accuracy >= self.stop_at
        self.start += time.perf_counter() - paused


def main() -> None:
    """Train as the example does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--stop-at", type=float, default=2.0, help="test accuracy at which the training ends early")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with np.load(options.data) as arrays:
        x_train, y_train, x_test, y_test = (arrays[name] for name in ("x_train", "y_train", "x_test", "y_test"))

    start = time.perf_counter()
    keras.utils.set_random_seed(options.seed)
    images = np.expand_dims(x_train.astype("float32") / 255, -1)
    labels = keras.utils.to_categorical(y_train, 10)
    network = build()
    paused = time.perf_counter()
    test = np.expand_dims(x_test.astype("float32") / 255, -1)
    clock = Clock(test, y_test, options.stop_at, start + time.perf_counter() - paused)
    network.fit(
        images, labels, batch_size=128, epochs=options.epochs, validation_split=0.1, callbacks=[clock], verbose=0
    )


if __name__ == "__main__":
    main()
