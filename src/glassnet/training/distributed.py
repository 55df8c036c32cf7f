"""Several processes, one training: under `torchrun` each process runs the same loop on its share of every batch.

Without `torchrun` there is one process and every function here does nothing, so the loop is written once. Processes
talk in tensors only (no pickles). Process 0 writes the run folder; what it decides by a clock it tells the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from glassnet.errors import InputError


@dataclass(frozen=True)
class Workers:
    """This process among all: its number `rank` of `world`, and the device it computes on."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes the run folder and shows progress."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return `module` so that gradients are averaged over all processes in its backward pass.

        Wrap again after changing which parameters train. Batch-norm statistics follow process 0.
        """
        if self.world == 1 or not any(parameter.requires_grad for parameter in module.parameters()):
            return module
        devices = None if self.device.type == "cpu" else [self.device]
        return DistributedDataParallel(module, device_ids=devices)

    def any(self, flag: bool) -> bool:
        """Return whether `flag` is true in any process."""
        if self.world == 1:
            return flag
        votes = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(votes)
        return bool(votes.item())

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of `tensor` over all processes."""
        if self.world == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def gather(self, tensor: Tensor) -> Tensor:
        """Return the rows of every process's `tensor` (n, ...), n may differ, one process after the other."""
        if self.world == 1:
            return tensor
        counts = [torch.zeros(1, dtype=torch.int64, device=tensor.device) for _ in range(self.world)]
        dist.all_gather(counts, torch.tensor([len(tensor)], device=tensor.device))
        longest = max(int(count) for count in counts)
        padded = tensor.new_zeros((longest, *tensor.shape[1:]))
        padded[: len(tensor)] = tensor
        parts = [torch.zeros_like(padded) for _ in range(self.world)]
        dist.all_gather(parts, padded)
        return torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)])

    def agree(self, scores: dict[str, float]) -> dict[str, float]:
        """Return process 0's `scores` in every process, so that all decide alike."""
        if self.world == 1:
            return scores
        values = torch.tensor(list(scores.values()), dtype=torch.float32, device=self.device)
        dist.broadcast(values, 0)
        return dict(zip(scores, values.tolist(), strict=True))

    def share(self, text: str) -> str:
        """Return process 0's `text` in every process."""
        if self.world == 1:
            return text
        data = torch.tensor(list(text.encode()), dtype=torch.uint8, device=self.device)
        length = torch.tensor([len(data)], device=self.device)
        dist.broadcast(length, 0)
        data = data if self.leads else torch.zeros(int(length), dtype=torch.uint8, device=self.device)
        dist.broadcast(data, 0)
        return bytes(data.tolist()).decode()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let process 0 run the block first and the others after it, so that they find its caches filled."""
        if not self.leads:
            self.wait()
        yield
        if self.leads:
            self.wait()

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.world > 1:
            dist.barrier()


def without_sync(model: nn.Module) -> Any:
    """Return a context in which backward passes of `model` do not average gradients yet (accumulation)."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()


def unwrap(model: nn.Module) -> nn.Module:
    """Return the network inside of what `Workers.wrap` returned."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def process() -> tuple[int, int]:
    """Return this process's number and how many `torchrun` started; (0, 1) without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    return (int(os.environ["RANK"]), world) if world > 1 and "RANK" in os.environ else (0, 1)


@contextmanager
def workers(device: torch.device) -> Iterator[Workers]:
    """Yield this process among those that `torchrun` started; a single one without it.

    device: the kind of device; each process of a host takes the one numbered by its local rank.
    """
    _, world = process()
    if world == 1:
        yield Workers(0, 1, device)
        return
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device {device.type!r} cannot train in {world} processes; use cpu or cuda")
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    started = not dist.is_initialized()
    if started:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Workers(dist.get_rank(), world, device)
    finally:
        if started:
            dist.destroy_process_group()
