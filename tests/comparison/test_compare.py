"""The engine: what it refuses before training, what it writes, and that nothing finished is trained again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from glassnet.comparison import compare as engine
from glassnet.comparison.compare import Comparison, compare
from glassnet.data import builtin
from glassnet.errors import Diverged, InputError, RunError, UnknownName
from glassnet.models.words import split_words

SOURCE = Path(__file__).resolve().parents[2] / "src"
NETS = {"narrow": 2, "wide": 4}
QUICK: dict[str, Any] = {"steps": 4, "seeds": 2, "overrides": {"batch_size": 32}, "threads": 1, "quiet": True}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 + 40 pictures of clothes, and two small networks beside them."""
    import numpy as np

    folder = tmp_path_factory.mktemp("data")
    found = builtin.load("fashion-mini")
    rows = {
        test: np.concatenate([np.flatnonzero((found.is_test == test) & (found.labels == c))[:n] for c in range(10)])
        for test, n in ((False, 24), (True, 4))
    }
    parts = {f"x_{n}": found.images[rows[t]] for n, t in (("train", False), ("test", True))}
    parts |= {f"y_{n}": found.labels[rows[t]] for n, t in (("train", False), ("test", True))}
    np.savez(folder / "clothes.npz", **parts)
    for name, width in NETS.items():
        text = f"input = [28, 28, 1]\nlayers = [{{ conv = {width}, stride = 2 }}, {{ pool = 'global_average' }}]\n"
        (folder / f"{name}.toml").write_text(text)
    return folder / "clothes.npz"


def networks(data: Path) -> list[str]:
    return [str(data.with_name(f"{name}.toml")) for name in NETS]


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, trained = tmp_path / "all", []
    train = engine.train

    def stop_at_third(*arguments: Any, **choices: Any) -> Any:
        trained.append(choices["output"].name)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return train(*arguments, **choices)

    monkeypatch.setattr(engine, "train", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        compare(data, networks=networks(data), output=path, **QUICK | {"quiet": None})
    assert f"2 of 4 runs are finished; go on with: glassnet compare --resume {path}" in capsys.readouterr().err
    assert "One seed gives no interval" in (path / "README.md").read_text()
    found = compare(resume=path, quiet=True)
    assert trained == ["narrow-seed0", "wide-seed0", "narrow-seed1", "narrow-seed1", "wide-seed1"]
    assert found.finished
    narrow, wide = found.rows
    assert (narrow.name, narrow.seeds, len(narrow.test)) == ("narrow", (0, 1), 2)
    assert wide.parameters == 4 * 9 + 4 + 4 * 10 + 10
    assert wide.multiply_adds == 4 * 9 * 14 * 14 + 40
    assert narrow.accuracy.half is not None
    assert json.loads((path / "compare.json").read_text())["findings"] == found.findings
    assert (path / "compare.csv").read_text().count("\n") == 3
    assert (path / "compare.png").stat().st_size > 10_000
    assert "| **" in (path / "README.md").read_text()
    for each in found.outcomes:
        facts = json.loads((path / each.run / "run.json").read_text())
        assert (facts["finished"], facts["last_step"], facts["settings"]["seed"]) == (True, 4, each.seed)
    again = compare(resume=path, seeds=3, quiet=True)
    assert trained[5:] == ["narrow-seed2", "wide-seed2"]
    assert [row.seeds for row in again.rows] == [(0, 1, 2)] * 2
    with pytest.raises(InputError, match="they only grow"):
        compare(resume=path, seeds=1)
    with pytest.raises(InputError, match="keeps its data, options and budget"):
        compare(resume=path, epochs=3)
    with pytest.raises(InputError, match="go on with `glassnet compare --resume"):
        compare(data, networks=networks(data), output=path, **QUICK)


def test_what_diverges_is_said_and_left_out(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = engine.train

    def explode(*arguments: Any, **choices: Any) -> Any:
        if "wide" in choices["output"].name:
            raise Diverged("the loss became nan")
        return train(*arguments, **choices)

    monkeypatch.setattr(engine, "train", explode)
    found = compare(data, networks=networks(data), output=tmp_path / "all", **QUICK | {"seeds": 1})
    assert [row.name for row in found.rows] == ["narrow"]
    assert "wide is left out: it diverged with seed 0 (the loss became nan)." in found.findings


def test_bad_calls(data: Path, tmp_path: Path) -> None:
    two = {"networks": ["lenet5", "sprint_s"], "output": tmp_path / "none"}
    with pytest.raises(InputError, match="no data are named"):
        compare(**two)
    with pytest.raises(InputError, match="only 'lenet5' is given to compare; name at least two"):
        compare(data, networks=["lenet5"])
    with pytest.raises(InputError, match="'lenet5' is given more than once"):
        compare(data, networks=["lenet5", "lenet5"])
    with pytest.raises(UnknownName, match="no network is called 'lenet6'; nearest: lenet5"):
        compare(data, networks=["lenet5", "lenet6"])
    with pytest.raises(UnknownName, match="no recipe of classification is called 'quik'; nearest: quick"):
        compare(data, recipes=["quik", "standard"])
    with pytest.raises(UnknownName, match="no study is called 'with'; nearest: width"):
        compare(study="with")
    with pytest.raises(InputError, match="a study brings its own networks"):
        compare(study="depth", networks=["lenet5"])
    with pytest.raises(InputError, match="what the study 'batch' varies"):
        compare(study="batch", overrides={"batch_size": 3})
    with pytest.raises(InputError, match="two budgets are given, epochs 3 and minutes 2"):
        compare(data, **two, epochs=3, minutes=2)
    with pytest.raises(InputError, match="steps is 0; expected a number above 0"):
        compare(data, **two, steps=0)
    with pytest.raises(InputError, match="seeds is 0; expected how many"):
        compare(data, **two, seeds=0)
    with pytest.raises(InputError, match=r"different length \(quick 5 epochs, standard 40 epochs\)"):
        compare(data, recipes=["quick", "standard"])
    with pytest.raises(InputError, match="has no pretrained weights"):
        compare(data, networks=networks(data), pretrained=True, output=tmp_path / "none")
    with pytest.raises(RunError, match="no comparison at"):
        compare(resume=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_words_behind_a_name() -> None:
    assert split_words("mobilenet_v2 width=0.5") == ("mobilenet_v2", {"width": 0.5})
    assert split_words("quick batch_size = 256 optimiser=adamw") == ("quick", {"batch_size": 256, "optimiser": "adamw"})
    assert split_words("my nets/small one.toml") == ("my nets/small one.toml", {})
    with pytest.raises(InputError, match="does not begin with a name"):
        split_words("width=0.5")


@pytest.mark.slow
def test_a_killed_comparison_goes_on(data: Path, tmp_path: Path) -> None:
    """Kill -9 in the middle of a training; the finished runs stay byte for byte, the other one is resumed."""
    path = tmp_path / "all"
    command = [sys.executable, "-m", "glassnet", "compare", str(data), "--output", str(path), "--steps", "400"]
    command += [word for each in networks(data) for word in ("--network", each)] + ["--seeds", "2", "--threads", "1"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "GLASSNET_SAVE_SECONDS": "0"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    state = path / "wide-seed0" / "resume.safetensors"
    deadline = time.monotonic() + 300
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = Comparison(path)
    assert [each.run for each in before.outcomes] == ["narrow-seed0"]
    kept = (path / "narrow-seed0" / "network.safetensors").stat().st_mtime_ns
    created = json.loads((path / "wide-seed0" / "run.json").read_text())["created"]
    assert compare(resume=path, quiet=True).finished
    assert (path / "narrow-seed0" / "network.safetensors").stat().st_mtime_ns == kept
    assert json.loads((path / "wide-seed0" / "run.json").read_text())["created"] == created
