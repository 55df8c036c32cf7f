"""What stops a training: divergence and missing memory with advice, signals at the end of a step."""

from __future__ import annotations

import signal
import threading

import pytest
import torch

from glassnet.errors import Diverged, RunError
from glassnet.training.guard import check_loss, memory_advice, stop_signals
from glassnet.training.recipes import Recipe


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 1e6])
def test_a_broken_loss_stops_with_advice(loss: float) -> None:
    with pytest.raises(Diverged, match=r"by step 7 .* try a smaller learning_rate than 3 \(try 0\.3.*clip=1.*warmup"):
        check_loss(loss, 2.3, Recipe(learning_rate=3, warmup=0), 7)


def test_a_loss_that_only_rose_goes_on() -> None:
    check_loss(50.0, 2.3, Recipe(), 7)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
)
def test_missing_memory_gets_advice(error: Exception) -> None:
    with pytest.raises(RunError, match=r"accumulate=2 .* batch_size=32"), memory_advice(Recipe(batch_size=64)):
        raise error


def test_a_real_allocation_that_is_too_large_gets_advice() -> None:
    with pytest.raises(RunError, match="out of memory"), memory_advice(Recipe()):
        torch.empty(1 << 50)


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory_advice(Recipe()):
        raise RuntimeError("shapes do not match")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_remembered_and_a_second_one_interrupts(number: int) -> None:
    before = signal.getsignal(number)
    with stop_signals() as stop:
        assert not stop.asked
        signal.raise_signal(number)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_other_threads_hear_no_signals() -> None:
    asked: list[bool] = []

    def work() -> None:
        with stop_signals() as stop:
            asked.append(stop.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert asked == [False]
