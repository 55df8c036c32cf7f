"""The exact state: there and back for every optimiser and layout, refusals, and when it is time to save."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from glassnet.errors import RunError
from glassnet.models import registry
from glassnet.training.average import Average
from glassnet.training.checkpoint import Counters, Learner, Saver, load_state, save_state
from glassnet.training.optimisers import build_optimisers
from glassnet.training.recipes import Recipe


def learner(optimiser: str = "sgd", *, ema: float = 0.9, classes: int = 10) -> Learner:
    torch.manual_seed(0)
    module = registry.create("tiny", classes=classes, in_channels=1).to(memory_format=torch.channels_last)
    return Learner(
        module=module,
        optimisers=build_optimisers(module, Recipe(optimiser=optimiser, learning_rate=0.01)),
        average=Average(module, ema) if ema else None,
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        sums=torch.zeros(2),
    )


def train_a_little(subject: Learner, steps: int = 3) -> None:
    for step in range(steps):
        torch.manual_seed(step)
        subject.module.train()
        subject.module(torch.randn(4, 1, 28, 28)).square().mean().backward()
        for optimiser in subject.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        if subject.average:
            subject.average.update()
        subject.sums += torch.tensor([0.1, 0.2])
        subject.counters.step += 1


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "muon"])
def test_a_restored_learner_goes_on_as_the_saved_one(tmp_path: Path, optimiser: str) -> None:
    original, restored = learner(optimiser), learner(optimiser)
    train_a_little(original)
    original.best = {name: tensor.clone() for name, tensor in original.judged.state_dict().items()}
    original.counters.note(0.1 + 0.2, patience=0)  # a float that needs all its digits
    save_state(tmp_path / "state", original)
    restored.restore(*load_state(tmp_path / "state"))
    assert restored.counters == original.counters
    for subject in (original, restored):
        train_a_little(subject)
    ours, theirs = restored.tensors(), original.tensors()
    assert ours.keys() == theirs.keys()
    assert {"module.body.stem.1.running_mean", "average.head.weight", "best.head.bias", "sums"} <= ours.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name
        assert tensor.stride() == theirs[name].stride() or name.startswith("best."), name


def test_saving_leaves_the_live_tensors_alone(tmp_path: Path) -> None:
    subject = learner()
    train_a_little(subject)
    before = copy.deepcopy(subject.tensors())
    save_state(tmp_path / "state", subject)
    assert all(torch.equal(before[name], tensor) for name, tensor in subject.tensors().items())


def test_a_state_of_another_network_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path / "state", learner(classes=5))
    with pytest.raises(RunError, match="does not fit this network and recipe"):
        learner(classes=10).restore(*load_state(tmp_path / "state"))


def test_what_is_no_state_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path / "state", learner())
    (tmp_path / "short").write_bytes((tmp_path / "state").read_bytes()[:1000])
    (tmp_path / "text").write_text("no state")
    for name in ("short", "text", "missing"):
        with pytest.raises(RunError, match="is not a training state"):
            load_state(tmp_path / name)


def test_scores_and_patience() -> None:
    counters = Counters(step=10)
    assert counters.note(0.5, patience=2)
    counters.step = 20
    assert not counters.note(0.5, patience=2)
    assert (counters.best_step, counters.stale, counters.finished) == (10, 1, False)
    assert not counters.note(0.4, patience=2)
    assert counters.finished


def test_the_average_by_hand() -> None:
    module = registry.create("tiny", classes=10, in_channels=1)
    average = Average(module, 0.5)
    start = module.head.weight.detach().clone()
    with torch.no_grad():
        module.head.weight.add_(1.0)
    module.body.stem[1].num_batches_tracked += 3
    average.update()  # the first decay is (1 + 0) / (10 + 0)
    torch.testing.assert_close(average.module.head.weight, start + 0.9)
    for _ in range(60):
        average.update()
    torch.testing.assert_close(average.module.head.weight, module.head.weight.detach())
    assert average.module.body.stem[1].num_batches_tracked == 3
    assert not average.module.training


def test_saves_are_a_minute_and_fifty_times_their_cost_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, cost = 0.0, 0.5
    monkeypatch.setattr("time.perf_counter", lambda: clock)

    def write() -> None:
        nonlocal clock
        clock += cost

    saver = Saver(write)
    assert not saver.due()
    clock = 60.0
    assert saver.due()
    saver.save()  # half a second, until 60.5
    clock = 120.4
    assert not saver.due()
    clock = 120.6
    assert saver.due()
    cost = 4.0
    saver.save()  # until 124.6; 50 * 4 s later
    clock = 324.5
    assert not saver.due()
    clock = 324.7
    assert saver.due()
    assert (saver.saves, saver.seconds) == (2, pytest.approx(4.5))


def test_the_interval_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLASSNET_SAVE_SECONDS", "0")
    saver = Saver(lambda: None)
    saver.save()
    assert saver.due()
