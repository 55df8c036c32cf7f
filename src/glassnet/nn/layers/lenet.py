"""The layers of 1998 that went out of use: a pooling that is trained, a convolution with gaps.

Paper: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", Proc. IEEE 86,
section II.B. Its squashing function is in `activations.py`, its output layer in `radial_basis.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.errors import InputError


class TrainablePool(nn.Module):
    """The sum of each window times a trained coefficient, plus a trained bias: (N, C, H, W) -> (N, C, H / k, W / k).

    One coefficient and one bias for each channel; the windows do not overlap. It starts as the average. In LeNet-5 a
    squashing function follows: with a small coefficient the pair blurs, with a large one it is an "or" or an "and".
    A leaf of the trace; its multiplications are those of a pooling and are not counted.
    """

    def __init__(self, channels: int, kernel_size: int = 2) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, kernel_size, 0, 1
        self.coefficient = nn.Parameter(torch.full((channels,), 1 / kernel_size**2))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Pool `x`."""
        total = F.avg_pool2d(x, self.kernel_size, divisor_override=1)  # (N, C, H / k, W / k)
        return total * self.coefficient[:, None, None] + self.bias[:, None, None]

    def extra_repr(self) -> str:
        """Return the setting."""
        return f"{len(self.bias)}, kernel_size={self.kernel_size}"


LENET5_C3 = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip
"""Table I of the paper: which of the six maps of S2 each of the sixteen maps of C3 sees."""


class PartialConv2d(nn.Module):
    """A convolution in which each output channel sees only some inputs: (N, C, H, W) -> (N, out, H - k + 1, W - k + 1).

    `connections[o]` are the input channels that output `o` sees. Few connections keep the number of weights down, and
    different ones for each output force the maps to find different things. `weight` (connections, k, k) has one filter
    for each connection, those of output 0 first. A leaf of the trace.
    """

    def __init__(self, in_channels: int, connections: Sequence[Sequence[int]], kernel_size: int) -> None:
        super().__init__()
        for output, inputs in enumerate(connections):
            if not inputs or len(set(inputs)) < len(inputs) or not set(inputs) <= set(range(in_channels)):
                raise InputError(
                    f"output {output} is connected to inputs {tuple(inputs)}; "
                    f"expected different ones from 0 to {in_channels - 1}"
                )
        self.in_channels, self.out_channels = in_channels, len(connections)
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, 1, 0, 1
        self.connections = tuple(tuple(inputs) for inputs in connections)
        self.weight = nn.Parameter(torch.empty(sum(map(len, connections)), kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(len(connections)))
        self._plan, self._order = self._make_plan()
        self.reset_parameters()

    def _make_plan(self) -> tuple[list[tuple[list[int], list[int], int]], list[int]]:
        """Return (inputs, rows of `weight`, fan-in) for each fan-in, and where each output stands in their results.

        Outputs that see equally many inputs make up one grouped convolution: three of them for LeNet-5, not sixteen.
        """
        first_row, start = [], 0
        alike: dict[int, list[int]] = defaultdict(list)
        for output, inputs in enumerate(self.connections):
            alike[len(inputs)].append(output)
            first_row.append(start)
            start += len(inputs)
        plan = [
            (
                [channel for output in outputs for channel in self.connections[output]],
                [first_row[output] + offset for output in outputs for offset in range(fan_in)],
                fan_in,
            )
            for fan_in, outputs in alike.items()
        ]
        computed = [output for outputs in alike.values() for output in outputs]
        return plan, [computed.index(output) for output in range(self.out_channels)]

    def reset_parameters(self) -> None:
        """Draw fresh weights, uniform in +-2.4 / fan-in as in the paper's appendix A, and no bias."""
        fan_ins = torch.tensor([len(inputs) for inputs in self.connections for _ in inputs]) * self.kernel_size**2
        with torch.no_grad():
            self.weight.uniform_(-2.4, 2.4).div_(fan_ins[:, None, None])
            self.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `x`."""
        parts = [self._grouped(x, *step) for step in self._plan]
        out = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
        if self._order != sorted(self._order):
            out = out[:, self._order]
        return out + self.bias[:, None, None]

    def _grouped(self, x: Tensor, inputs: list[int], rows: list[int], fan_in: int) -> Tensor:
        """Return the outputs that see `fan_in` inputs each, (N, rows / fan_in, H', W')."""
        k, groups = self.kernel_size, len(rows) // fan_in
        weight = self.weight[rows].view(groups, fan_in, k, k)
        return F.conv2d(x[:, inputs], weight, groups=groups)

    def extra_repr(self) -> str:
        """Return the setting."""
        gaps = f"connections={sum(map(len, self.connections))}"
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, {gaps}"
