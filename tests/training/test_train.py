"""The whole way from data to a run: what is in the folder, what the options do, what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from glassnet.data.index import scan
from glassnet.errors import DataError, Diverged, GlassnetError, InputError, RunError, StorageError, UnknownName
from glassnet.models.network import Network, load_network
from glassnet.training import loop
from glassnet.training.run import Run, is_run, next_path
from glassnet.training.train import resume, train

FAST: dict[str, Any] = {"network": "tiny", "recipe": "quick", "threads": 1, "precision": "fp32", "quiet": True}


def short(data: Path, output: Path, **choices: Any) -> Run:
    """One short training; keywords that `train` does not know are fields of the recipe."""
    known = (
        "epochs",
        "minutes",
        "start_from",
        "seed",
        "network",
        "recipe",
        "quiet",
        "strict",
        "precision",
        "pretrained",
    )
    overrides = {"batch_size": 32} | {name: choices.pop(name) for name in list(choices) if name not in known}
    return train(data, output=output, overrides=overrides, **{**FAST, "epochs": 1, **choices})


@pytest.fixture(scope="module")
def run(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return short(small_data, tmp_path_factory.mktemp("runs") / "one", epochs=6, learning_rate=0.05, ema=0.9)


def test_a_run_holds_everything(run: Run, small_data: Path) -> None:
    names = {path.name for path in run.path.iterdir()}
    files = {"network.safetensors", "last.safetensors", "resume.safetensors", "recipe.toml", "run.json", "split.csv"}
    assert files | {"problems.csv", "metrics.jsonl"} <= names
    assert not any("partial" in name for name in names)
    assert run.finished
    assert is_run(run.path)
    assert run.data == str(small_data)
    lines = run.metrics()
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[-1]["train_loss"] < lines[0]["train_loss"]
    assert max(line["validation_accuracy"] for line in lines) > 0.3, "it learns more than guessing (0.1)"
    assert sum(line["best"] for line in lines) >= 1


def test_the_network_is_the_best_on_validation(run: Run) -> None:
    best = max(run.metrics(), key=lambda line: (line["validation_score"], -line["step"]))
    card = run.network.card
    assert card.metrics == {"step": best["step"], "validation_accuracy": best["validation_accuracy"]}
    again = Network.load(run.network_path)
    index = run.index()
    items = index.select("validation")
    said = again.predict([index.source(item) for item in items], device="cpu")
    labels = [index.classes[index.labels[item]] for item in items]
    accuracy = np.mean([one.label == label for one, label in zip(said, labels, strict=True)])
    assert accuracy == pytest.approx(best["validation_accuracy"])


def test_the_card_says_how_it_was_made(run: Run) -> None:
    card = run.network.card
    assert card.recipe == asdict(run.recipe)
    assert (
        card.data["counts"] == {"train": 270, "validation": 50, "test": 40} or sum(card.data["counts"].values()) == 360
    )
    assert card.data["fingerprint"] == run.facts["decided"]["fingerprint"]
    assert card.temperature != 1.0
    assert card.thresholds.keys() == set(card.classes)
    assert all(0 <= threshold <= 1 for threshold in card.thresholds.values())


def test_tensorboard_has_the_same_numbers(run: Run) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    seen = [(event.step, event.value) for event in events.Scalars("loss/train")]
    assert seen == [(line["step"], pytest.approx(line["train_loss"], rel=1e-6)) for line in run.metrics()]


def test_test_pictures_are_never_looked_at(small_data: Path, tmp_path: Path) -> None:
    """Other test pictures, and other labels of them, give the same weights to the last bit."""
    arrays = dict(np.load(small_data))
    arrays["x_test"] = 255 - arrays["x_test"]
    arrays["y_test"] = arrays["y_test"][::-1]
    np.savez(tmp_path / "small.npz", **arrays)
    runs = [short(data, tmp_path / str(n)) for n, data in enumerate((small_data, tmp_path / "small.npz"))]
    first, second = (safetensors.torch.load_file(each.network_path) for each in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert runs[0].network.card.temperature == runs[1].network.card.temperature


def test_a_seed_fixes_all_and_another_changes_all(small_data: Path, tmp_path: Path) -> None:
    runs = [short(small_data, tmp_path / str(n), seed=seed) for n, seed in enumerate((5, 5, 6))]
    a, b, c = (safetensors.torch.load_file(each.path / "last.safetensors") for each in runs)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["body.stem.0.weight"], c["body.stem.0.weight"])


def test_accumulating_is_the_same_training(small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without batch norm and dropout a batch in four parts gives the gradient of the whole."""
    monkeypatch.setattr(torch.nn.BatchNorm2d, "forward", lambda self, x: x * self.weight.view(1, -1, 1, 1))
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, x: x)  # noqa: ARG005
    runs = [short(small_data, tmp_path / str(n), accumulate=n, epochs=0.5) for n in (1, 4)]
    a, b = (safetensors.torch.load_file(each.path / "last.safetensors") for each in runs)
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(
        runs[0].metrics()[0]["train_loss"], runs[1].metrics()[0]["train_loss"], rtol=1e-4, atol=0
    )


def test_frozen_parts_do_not_change(small_data: Path, tmp_path: Path, run: Run) -> None:
    start = run.network.module.state_dict()
    stages = short(small_data, tmp_path / "stages", network=None, start_from=run.path, frozen_stages=1)
    whole = short(small_data, tmp_path / "whole", network=None, start_from=run.network_path, freeze=1.0)
    for changed, fixed in ((stages, "body.stem."), (whole, "body.")):
        after = safetensors.torch.load_file(changed.path / "last.safetensors")
        assert all(torch.equal(after[name], start[name]) for name in after if name.startswith(fixed)), fixed
        assert not torch.equal(after["head.weight"], start["head.weight"])
    assert not torch.equal(
        safetensors.torch.load_file(stages.path / "last.safetensors")["body.stage1.0.weight"],
        start["body.stage1.0.weight"],
    )
    assert whole.network.card.parent == str(run.network_path)


def test_other_classes_get_a_new_head(tiny: ModuleType, tmp_path: Path, run: Run) -> None:
    tiny.write_data(tmp_path / "three.npz", 60, 30, classes=3)
    tuned = short(tmp_path / "three.npz", tmp_path / "run", network=None, start_from=run.network_path)
    assert tuned.network.classes == ("0", "1", "2")
    assert tuned.network.module.head.out_features == 3


def test_early_stopping(small_data: Path, tmp_path: Path) -> None:
    stopped = short(small_data, tmp_path / "run", epochs=50, patience=2, learning_rate=1e-9, validate_every=0.5)
    lines = stopped.metrics()
    assert len(lines) < 100
    assert [line["best"] for line in lines[-3:]] == [True, False, False]


def test_divergence_stops_with_advice_and_saves_nothing_broken(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLASSNET_SAVE_SECONDS", "0")
    with pytest.raises(Diverged, match="smaller learning_rate than 1000"):
        short(small_data, tmp_path / "run", learning_rate=1000, epochs=20, label_smoothing=0.0, warmup=0.0)
    saved = safetensors.torch.load_file(tmp_path / "run" / "resume.safetensors")
    assert all(tensor.isfinite().all() for tensor in saved.values())


@pytest.mark.parametrize("balance", ["weights", "sampling"])
def test_balancing_helps_rare_classes(tiny: ModuleType, tmp_path: Path, balance: str) -> None:
    tiny.write_data(tmp_path / "all.npz", 200, 40, classes=2)
    arrays = dict(np.load(tmp_path / "all.npz"))
    keep = (arrays["y_train"] == 0) | (np.cumsum(arrays["y_train"] == 1) <= 12)
    np.savez(tmp_path / "rare.npz", **(arrays | {n: arrays[n][keep] for n in ("x_train", "y_train")}))
    balanced = short(tmp_path / "rare.npz", tmp_path / "run", balance=balance, epochs=3, batch_size=16)
    network, index = balanced.network, balanced.index()
    said = network.predict([index.source(item) for item in index.select("test")], device="cpu")
    truth = index.labels[index.select("test")]
    recall = np.mean([one.label == "1" for one, label in zip(said, truth, strict=True) if label == 1])
    assert recall > 0.6


def test_minutes_decide_the_steps_once(small_data: Path, tmp_path: Path) -> None:
    planned = short(small_data, tmp_path / "run", epochs=3, minutes=0.2)
    plan = planned.facts["plan"]
    assert 10 <= plan["steps"] <= 3 * plan["steps_per_epoch"], "epochs that are asked for are an upper bound"
    assert planned.metrics()[-1]["step"] == plan["steps"]
    with pytest.raises(InputError, match="minutes are left for training, but a step takes"):
        short(small_data, tmp_path / "none", minutes=1e-4)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("quiet, lines", [(True, 0), (None, 2)])
def test_quiet_and_plain_progress(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet: bool | None, lines: int
) -> None:
    short(small_data, tmp_path / "run", quiet=quiet)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == lines
    if lines:
        assert captured.err.startswith("tiny, recipe quick: ")
        assert "validation" in captured.err.splitlines()[1]


def test_a_finished_run_is_left_alone(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = run.network_path.read_bytes()
    assert resume(run.path).finished
    assert "finished already" in capsys.readouterr().err
    assert run.network_path.read_bytes() == before


@pytest.mark.parametrize(
    "choices, error, message",
    [
        ({"network": "tinny"}, UnknownName, "nearest: tiny"),
        ({"recipe": "quik"}, UnknownName, "nearest: quick"),
        ({"minutes": 0}, InputError, "minutes is 0"),
        ({"minutes": math.nan}, InputError, "minutes is nan"),
        ({"epochs": -1}, InputError, "epochs=-1"),
        ({"seed": -1}, InputError, "seed is -1"),
        ({"pretrained": True, "start_from": "x"}, InputError, "both pretrained and start_from"),
        ({"start_from": "x"}, InputError, "the file says what network"),
        ({"pretrained": True}, InputError, "tiny has no pretrained weights"),
        ({"sise": 3}, UnknownName, "nearest: size"),
    ],
)
def test_wrong_choices_are_refused_before_anything_is_written(
    small_data: Path, tmp_path: Path, choices: dict[str, Any], error: type[GlassnetError], message: str
) -> None:
    with pytest.raises(error, match=message):
        short(small_data, tmp_path / "run", **choices)
    assert not (tmp_path / "run").exists()


def test_wrong_outputs_are_refused(small_data: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    for path, message in (
        (run.path, "a run in .* already"),
        (tmp_path / "file", "is a file"),
        (tmp_path / "full", "not empty"),
    ):
        with pytest.raises(InputError, match=message):
            short(small_data, path)
    with pytest.raises((InputError, StorageError)):
        short(small_data, tmp_path / "file" / "below")


def test_one_class_is_refused(tiny: ModuleType, tmp_path: Path) -> None:
    tiny.write_data(tmp_path / "one.npz", 30, 10, classes=1)
    with pytest.raises(DataError, match="one class"):
        short(tmp_path / "one.npz", tmp_path / "run")


def test_no_validation_pictures(tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write_data(tmp_path / "data.npz", 64, 20)
    from glassnet.training import prepare

    monkeypatch.setattr(prepare, "scan", lambda data, **rest: scan(data, split=(0.9, 0.0, 0.1), **rest))
    without = short(tmp_path / "data.npz", tmp_path / "run")
    assert without.network.card.temperature == 1.0
    assert "validation_loss" not in without.metrics()[-1]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run at"):
        Run(tmp_path)
    (tmp_path / "run.json").write_text("[1]")
    with pytest.raises(RunError, match="it holds no table"):
        Run(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(RunError, match="run format 99"):
        Run(tmp_path)


def test_default_folders_are_numbered(tmp_path: Path) -> None:
    assert next_path("fashion-mini", tmp_path / "runs") == tmp_path / "runs" / "fashion-mini-1"
    for name in ("photos-1", "photos-12", "photos-x"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    assert next_path(tmp_path / "photos", tmp_path / "runs").name == "photos-13"


def test_trainings_that_start_together_get_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from glassnet.training import run

    first = run.claim_next("photos", tmp_path)
    assert first == tmp_path / "photos-1"
    late = iter([first, tmp_path / "photos-2"])  # what one reads that looks just before the other makes its folder
    monkeypatch.setattr(run, "next_path", lambda *_: next(late))
    assert run.claim_next("photos", tmp_path) == tmp_path / "photos-2"
    assert (tmp_path / "photos-2").is_dir()


@pytest.mark.parametrize(
    "choices, error, message",
    [
        ({"network": "tinny"}, UnknownName, "nearest: tiny"),
        ({"network": "mobilenet_v2", "arguments": {"width": "wide"}}, InputError, "width is 'wide'; expected a number"),
        ({"network": "mobilenet_v2", "arguments": {"width": -1}}, InputError, "width is -1"),
        ({"recipe": "quik"}, UnknownName, "nearest: quick"),
        ({"overrides": {"learning_rat": 1}}, UnknownName, "nearest: learning_rate"),
        ({"overrides": {"flip": "maybe"}}, InputError, "flip='maybe': expected a number"),
    ],
)
def test_wrong_choices_are_said_before_the_data_are_scanned(
    monkeypatch: pytest.MonkeyPatch, choices: dict[str, Any], error: type[GlassnetError], message: str
) -> None:
    from glassnet.training import prepare

    monkeypatch.setattr(prepare, "scan", lambda *_, **__: pytest.fail("the data were scanned"))
    with pytest.raises(error, match=message):
        prepare.prepare(prepare.Settings(data="photos", **choices))


def test_epochs_count_in_place_of_a_recipes_fixed_steps() -> None:
    from glassnet.training.prepare import overridden
    from glassnet.training.recipes import RECIPES

    assert (overridden(RECIPES.find("sprint"), {"epochs": 2}).steps, overridden(RECIPES.find("sprint"), {}).steps) == (
        0,
        440,
    )
    assert overridden(RECIPES.find("sprint"), {"epochs": 2, "steps": 7}).steps == 7


def test_the_memory_format_is_the_recipes(small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    original = loop.gradient

    def spy(model: torch.nn.Module, *rest: Any) -> torch.Tensor:
        seen.append(model.get_parameter("body.stage1.0.weight").stride())
        return original(model, *rest)

    monkeypatch.setattr(loop, "gradient", spy)
    short(small_data, tmp_path / "a", epochs=0.1)
    short(small_data, tmp_path / "b", epochs=0.1, channels_last=False)
    assert (seen[0], seen[-1]) == ((72, 1, 24, 8), (72, 9, 3, 1))


def test_load_takes_a_run(run: Run) -> None:
    assert load_network(run.path).classes == run.network.classes
