"""The report of a run: with real parts, an untrained network, and a run that was never trained."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glassnet.data.index import Index, scan
from glassnet.data.pictures import load_pictures
from glassnet.errors import DataError, RunError
from glassnet.evaluation.judgement import Judgement
from glassnet.models.network import Network
from glassnet.nn.device import describe_machine
from glassnet.preprocess import Preprocess
from glassnet.report.report import judged_items, judged_note, reproduce, write_report
from glassnet.training.prepared import Settings, split_key
from glassnet.training.recipes import RECIPES, Recipe
from glassnet.training.run import Run, create_run

PREPROCESS = Preprocess(height=28, width=28, channels=1, resize="squash", crop=1.0, mean=(0.5,), std=(0.5,))


def save_arrays(folder: Path, seed: int = 0) -> Path:
    """A data source of 60 tiny grey pictures of three classes, with a test split."""
    generator = np.random.default_rng(seed)
    pictures, labels = generator.integers(0, 256, (60, 28, 28), dtype=np.uint8), np.arange(60) % 3
    path = folder / "toys.npz"
    np.savez(path, x_train=pictures[:40], y_train=labels[:40], x_test=pictures[40:], y_test=labels[40:])
    return path


def make_run(folder: Path, chosen: Recipe | None = None) -> Run:
    """A run folder as a training leaves it, but with fresh weights."""
    settings = Settings(data=str(save_arrays(folder)), network="lenet5", recipe="quick")
    index = load_pictures(scan(settings.data, seed=0), PREPROCESS).index
    decided = {
        "network": "resnet18",
        "arguments": {"stem": "small"},
        "pretrained": False,
        "reason": "resnet18: you chose it",
        "fingerprint": index.fingerprint,
        "splits": split_key(index),
    }
    facts: dict[str, Any] = {"settings": vars(settings), "decided": decided, "machine": describe_machine()}
    facts |= {"seconds": 12.5, "plan": {"steps": 77}}
    run = create_run(folder / "run", chosen or RECIPES.find("quick"), index, **facts)
    torch.manual_seed(0)
    network = Network.create("lenet5", index.classes, preprocess=PREPROCESS)
    network.card.temperature = 1.5
    network.save(run.network_path)
    return run


def test_a_report_is_written_beside_the_judgement(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    path = write_report(run, device="cpu", explain=False)
    assert path == run.report
    html = path.read_text(encoding="utf-8")
    assert "judged on 20 test pictures" in " ".join(html.split())
    assert "resnet18: you chose it" in html
    assert html.count("data:image/png;base64,") == 20
    kept = Judgement.from_dict(json.loads((run.path / "evaluation.json").read_text(encoding="utf-8")))
    assert (kept.n, kept.split, kept.network) == (20, "test", "lenet5")
    assert kept.calibration["after"].temperature == 1.5
    assert run.evaluation == kept


def test_a_report_says_what_answers_hung_on_unless_told_not_to(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    html = write_report(run, device="cpu", quiet=True).read_text(encoding="utf-8")
    assert 18 <= html.count('class="map"') <= 24, "20 hardest pictures and up to one right answer of 3 classes"
    assert "falls by up to" in html
    assert "falls by up to" not in write_report(run, device="cpu", explain=False).read_text(encoding="utf-8")


def test_changed_data_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    save_arrays(tmp_path, seed=1)
    with pytest.raises(DataError, match=r"toys.npz' have changed since .* glassnet evaluate"):
        write_report(run, device="cpu")
    assert not run.report.exists()


def test_a_run_without_a_network_says_how_to_get_one(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.network_path.unlink()
    with pytest.raises(RunError, match="glassnet resume"):
        write_report(run)


def index_of(splits: list[int]) -> Index:
    n = len(splits)
    return Index(
        name="toys",
        kind="arrays",
        root=None,
        classes=("a", "b"),
        paths=None,
        images=np.zeros((n, 4, 4, 1), np.uint8),
        labels=np.zeros(n, np.int64),
        splits=np.array(splits, np.int8),
        sizes=np.full((n, 2), 4, np.int32),
        channels=1,
    )


@pytest.mark.parametrize(
    "splits, split, items, note",
    [
        ([0, 1, 2, 2], "test", [2, 3], ""),
        ([0, 1, 1], "validation", [1, 2], "no test pictures"),
        ([0, 0], "train", [0, 1], "neither test nor validation"),
    ],
)
def test_what_is_judged(splits: list[int], split: str, items: list[int], note: str) -> None:
    found, numbers = judged_items(index_of(splits))
    assert (found, numbers.tolist()) == (split, items)
    assert note in judged_note(split, tta=False)
    assert "mirror image" in judged_note(split, tta=True)


def command(run: Run, **changes: Any) -> list[str]:
    lines = reproduce(run, {**run.facts["settings"], **changes}, run.facts["decided"]).splitlines()
    assert lines[0].startswith("pip install glassnet==")
    return shlex.split(lines[1])


def test_the_command_names_what_was_decided(tmp_path: Path) -> None:
    (tmp_path / "it's here").mkdir()
    run = make_run(tmp_path / "it's here", RECIPES.find("quick", epochs=3, flip=0.25, nesterov=False))
    words = command(run, minutes=2.0, seed=7, group_by="patient")
    assert words[:3] == ["glassnet", "train", str(tmp_path / "it's here" / "toys.npz")]
    text = " ".join(words)
    for part in (
        "--network resnet18 --arg stem=small --recipe quick",
        "--set epochs=3.0",
        "--set flip=0.25",
        "--set nesterov=false",
        "--set steps=77",
        "--group-by patient",
        "--seed 7",
        f"--threads {torch.get_num_threads()}",
    ):
        assert part in text
    assert text.count("--set") == 4
    assert "--pretrained" not in text


@pytest.mark.parametrize("pretrained, words", [(True, "--pretrained"), ("torchvision", "--weights torchvision")])
def test_the_command_names_the_weights(tmp_path: Path, pretrained: bool | str, words: str) -> None:
    run = make_run(tmp_path)
    decided = {**run.facts["decided"], "pretrained": pretrained}
    assert f" {words} --recipe quick" in reproduce(run, run.facts["settings"], decided)


def test_the_command_of_a_fine_tuned_network_and_of_an_own_recipe(tmp_path: Path) -> None:
    run = make_run(tmp_path, Recipe(name="mine"))
    text = " ".join(command(run, start_from="old.safetensors"))
    assert "--from old.safetensors --recipe" in text
    assert "--network" not in text
    assert str(run.path / "recipe.toml") in text
