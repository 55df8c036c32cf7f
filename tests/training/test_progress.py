"""What a person sees: a live line in a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from glassnet.training.loop import sentence
from glassnet.training.plan import Plan
from glassnet.training.progress import Display

PLAN = Plan(
    steps=20, steps_per_epoch=10, validate_steps=10, freeze_steps=0, seed=0, device="cpu", precision="fp32", threads=1
)


def show(terminal: bool) -> str:
    file = io.StringIO()
    with Display(console=Console(file=file, force_terminal=terminal, width=100, highlight=False)) as display:
        display.start(2.0)
        display.show(0.5, "epoch 0.50  loss 1.234")
        display.say("a [line]")
    return file.getvalue()


def test_a_terminal_has_a_live_line() -> None:
    shown = show(terminal=True)
    assert "epoch 0.50  loss 1.234" in shown
    assert "━" in shown
    assert "a [line]" in shown


def test_elsewhere_there_are_only_lines() -> None:
    assert show(terminal=False) == "a [line]\n"


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(quiet=True) as display:
        display.start(2.0)
        display.say("nothing")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_looks_are_some_time_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr("time.perf_counter", lambda: clock)
    display = Display(quiet=True)
    assert display.due()
    assert not display.due()
    clock += 0.3
    assert display.due()


def test_a_line_of_metrics_in_words() -> None:
    line = {"epoch": 1.0, "train_loss": 0.5, "train_accuracy": 0.8, "pictures_per_second": 1234.5, "step": 10}
    assert sentence(line, PLAN) == "epoch 1/2  loss 0.5000  accuracy 80.0%  1,234 pictures/s"
    judged = line | {"validation_score": 0.7, "validation_accuracy": 0.75, "best": True}
    assert "validation 75.0% (best)" in sentence(judged, PLAN)
