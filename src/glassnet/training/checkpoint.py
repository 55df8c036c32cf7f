"""The exact state of a training: everything that learns or counts, in one safetensors file, restored bit for bit.

All randomness is a function of (seed, epoch, step), so no generator's state needs saving. The tensors go into the
file as they are; the counters and Python floats (exact in JSON) go into its header.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from glassnet.errors import RunError
from glassnet.files import atomic_path
from glassnet.training.average import Average

FORMAT = 1
SAVE_EVERY = 60.0  # seconds between saves at least ...
SAVE_SHARE = 50.0  # ... and so many times what the last one took, so that saving costs at most 2 % of the time


@dataclass
class Counters:
    """Where a training stands, in plain numbers."""

    step: int = 0
    best_score: float | None = None
    best_step: int = 0
    stale: int = 0  # validations since the best one
    first_loss: float | None = None
    seen: int = 0  # pictures since the last validation
    history: int = 0  # bytes of metrics.jsonl that belong to this state
    seconds: float = 0.0  # training time so far, over all sittings
    marked: float = 0.0  # training time at the last validation
    finished: bool = False

    def note(self, score: float, patience: int) -> bool:
        """Take a validation's score into account: return whether it is the best, finish when patience runs out."""
        better = self.best_score is None or score > self.best_score
        if better:
            self.best_score, self.best_step, self.stale = score, self.step, 0
        else:
            self.stale += 1
            self.finished = self.finished or 0 < patience <= self.stale
        return better


@dataclass
class Learner:
    """Everything that changes while training, and so everything that must be saved."""

    module: nn.Module
    optimisers: list[torch.optim.Optimizer]
    average: Average | None
    scaler: torch.amp.GradScaler
    sums: Tensor  # (1 + measures,) float32: loss and measures, each times its pictures, since the last validation
    counters: Counters = field(default_factory=Counters)
    best: dict[str, Tensor] | None = None
    answers: dict[str, Tensor] = field(default_factory=dict)  # what the weights to keep said on validation
    kept: int = -1  # the step of the best network that is on the disk
    _ticked: float = 0.0

    def start_clock(self) -> None:
        """Begin a sitting: from now on, training time passes."""
        self._ticked = time.perf_counter()

    def tick(self) -> None:
        """Count the training time since the last tick."""
        now = time.perf_counter()
        self.counters.seconds += now - self._ticked
        self._ticked = now

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept: the average where there is one."""
        return self.module if self.average is None else self.average.module

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor of the state by name; they are the live ones, not copies."""
        tensors = {f"module.{name}": tensor for name, tensor in self.module.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.module.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in (self.best or {}).items()}
        tensors |= {f"answers.{name}": tensor for name, tensor in self.answers.items()}
        tensors |= {name: value for name, value in self._optimiser_state().items() if isinstance(value, Tensor)}
        return tensors | {"sums": self.sums}

    def facts(self) -> dict[str, Any]:
        """Return what is not a tensor, ready for JSON."""
        return {
            "format": FORMAT,
            "counters": asdict(self.counters),
            "updates": self.average.updates if self.average is not None else 0,
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Become the state that `tensors` and `facts` describe; the live tensors keep their memory layout."""
        try:
            self._restore(tensors, facts)
        except (KeyError, TypeError, RuntimeError) as error:
            raise RunError(
                f"the saved state does not fit this network and recipe ({error}); was the run changed?"
            ) from error

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        self.module.load_state_dict(_below("module.", tensors))
        if self.average is not None:
            self.average.module.load_state_dict(_below("average.", tensors))
            self.average.updates = facts["updates"]
        self.best = _below("best.", tensors) or None
        self.answers = _below("answers.", tensors)
        self.sums.copy_(tensors["sums"])
        self.counters = Counters(**facts["counters"])
        self.scaler.load_state_dict(facts["scaler"])
        for number, optimiser in enumerate(self.optimisers):
            for name, parameter in _named_parameters(optimiser):
                state = _below(f"optimiser.{number}.{name}/", tensors)
                if state:
                    optimiser.state[parameter] = {key: _like(value, parameter) for key, value in state.items()}

    def _optimiser_state(self) -> dict[str, Any]:
        return {
            f"optimiser.{number}.{name}/{key}": value
            for number, optimiser in enumerate(self.optimisers)
            for name, parameter in _named_parameters(optimiser)
            for key, value in optimiser.state.get(parameter, {}).items()
        }


def _named_parameters(optimiser: torch.optim.Optimizer) -> list[tuple[str, Tensor]]:
    groups = optimiser.param_groups
    return [pair for group in groups for pair in zip(group["names"], group["params"], strict=True)]


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Return `tensor` in the memory layout and on the device of `parameter`, where it has its shape."""
    if tensor.shape != parameter.shape:
        return tensor.clone()  # AdamW's step counter, which lives on the CPU or, when fused, where it was made
    return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)


def save_state(path: Path, learner: Learner) -> None:
    """Write the learner's exact state to `path`, atomically: a crash or a full disk leaves the state before."""
    header = {"state": json.dumps(learner.facts())}
    # safetensors refuses tensors that share memory or are not contiguous, as channels_last ones are not.
    tensors = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in learner.tensors().items()}
    with atomic_path(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=header)


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_state` wrote. Raises `RunError` for a file that is not a state, or of another version."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
        raise RunError(f"{str(path)!r} is not a training state ({error}); delete it to start this run again") from error
    if facts.get("format") != FORMAT:
        raise RunError(f"{str(path)!r} has state format {facts.get('format')!r}; this glassnet reads {FORMAT}")
    return tensors, facts


class Saver:
    """Saves now and then: at least a minute and 50 times the last save's duration apart.

    write: what a save does. `GLASSNET_SAVE_SECONDS` replaces the minute (0 saves after every step), for machines that
    are taken away at short notice.
    """

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write
        self.at_least = float(os.environ.get("GLASSNET_SAVE_SECONDS", SAVE_EVERY))
        self.saves, self.seconds = 0, 0.0  # how often, and what it cost altogether
        self._next = time.perf_counter() + self.at_least

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.perf_counter() >= self._next

    def save(self) -> None:
        """Save now."""
        start = time.perf_counter()
        self._write()
        end = time.perf_counter()
        self.saves, self.seconds = self.saves + 1, self.seconds + end - start
        share = SAVE_SHARE * (end - start) if self.at_least > 0 else 0.0
        self._next = end + max(self.at_least, share)
