"""The network and training of PyTorch's public example "Basic MNIST Example", in our words, with a clock.

Source: https://github.com/pytorch/examples/tree/main/mnist. The same architecture, optimiser, schedule, batch size and
number of epochs. What differs: the pictures lie in RAM, normalised beforehand, instead of being decoded one by one by
torchvision, and are shuffled on a CPU too (both favour the example); the test pictures are judged after every epoch,
and neither that nor reading the data counts as training time.

    python pytorch_mnist.py DATA.npz [--epochs 14] [--stop-at 0.90] [--seed 0]

Prints one JSON line per epoch: epoch, seconds (training so far), test_accuracy. Needs `torch`.
"""

import argparse
import json
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    """The example's network: (N, 1, 28, 28) float -> (N, 10) log-probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(64 * 12 * 12, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Name the digits."""
        x = F.relu(self.conv1(images))  # (N, 32, 26, 26)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (N, 64, 12, 12)
        x = self.dropout1(x).flatten(1)
        x = self.dropout2(F.relu(self.fc1(x)))
        return F.log_softmax(self.fc2(x), dim=1)


def normalised(images: np.ndarray) -> Tensor:
    """Return (N, 28, 28) uint8 as (N, 1, 28, 28) float with the example's mean and deviation."""
    return (torch.from_numpy(images).float().div(255).sub(0.1307).div(0.3081)).unsqueeze(1)


def test_accuracy(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of test pictures named rightly."""
    net.eval()
    with torch.no_grad():
        guesses = torch.cat([net(part).argmax(1) for part in images.split(1000)])
    return float((guesses == labels).float().mean())


def main() -> None:
    """Train as the example does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--stop-at", type=float, default=2.0, help="test accuracy at which the training ends early")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with np.load(options.data) as arrays:
        x_train, y_train, x_test, y_test = (arrays[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    test, test_labels = normalised(x_test), torch.from_numpy(y_test.astype(np.int64))

    start = time.perf_counter()
    torch.manual_seed(options.seed)
    data = TensorDataset(normalised(x_train), torch.from_numpy(y_train.astype(np.int64)))
    loader = DataLoader(data, batch_size=64, shuffle=True)
    net = Net()
    optimizer = torch.optim.Adadelta(net.parameters(), lr=1.0)
    schedule = StepLR(optimizer, step_size=1, gamma=0.7)
    for epoch in range(1, options.epochs + 1):
        net.train()
        for images, labels in loader:
            optimizer.zero_grad()
            F.nll_loss(net(images), labels).backward()
            optimizer.step()
        schedule.step()
        paused = time.perf_counter()
        accuracy = test_accuracy(net, test, test_labels)
        line = {"epoch": epoch, "seconds": round(paused - start, 2), "test_accuracy": accuracy}
        print(json.dumps(line), flush=True)
        if accuracy >= options.stop_at:
            break
        start += time.perf_counter() - paused


if __name__ == "__main__":
    main()
