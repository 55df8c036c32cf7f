"""What stops a training early and politely: a loss gone wrong, memory run out, Ctrl-C."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch

from glassnet.errors import Diverged, RunError
from glassnet.training.recipes import Recipe

EXPLODED = 100.0  # times the first loss: no training that still learns goes there


def check_loss(loss: float, first_loss: float, recipe: Recipe, step: int) -> None:
    """Raise `Diverged` with advice when the mean `loss` of late is not a number or has exploded."""
    if math.isfinite(loss) and loss <= EXPLODED * (first_loss + 1.0):
        return
    advice = [f"a smaller learning_rate than {recipe.learning_rate:g} (try {recipe.learning_rate / 10:g}, or find-lr)"]
    if recipe.clip == 0:
        advice.append("clip=1")
    if recipe.warmup < 0.1:
        advice.append("warmup=0.2")
    if recipe.precision != "fp32":
        advice.append("precision=fp32")
    raise Diverged(
        f"the loss became {loss:.4g} by step {step} (it began at {first_loss:.4g}); try {', or '.join(advice)}"
    )


@contextmanager
def memory_advice(recipe: Recipe) -> Iterator[None]:
    """Turn running out of memory inside the block into a `RunError` that says which knobs need less."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not _is_memory(error):
            raise
        parts = min(recipe.batch_size, 2 * recipe.accumulate)
        raise RunError(
            f"out of memory with batches of {recipe.batch_size}; try accumulate={parts} (the same training in less "
            f"memory), batch_size={max(1, recipe.batch_size // 2)}, a smaller size, or precision=bf16"
        ) from error


def _is_memory(error: BaseException) -> bool:
    words = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")
    return not isinstance(error, RuntimeError) or any(word in str(error).lower() for word in words)


class Stop:
    """Whether the user, or the system, asked the training to stop."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        """Remember the wish; a second Ctrl-C no longer waits for the step to end."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Yield a `Stop` that Ctrl-C and SIGTERM set while the block runs; only the main thread can hear them."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
