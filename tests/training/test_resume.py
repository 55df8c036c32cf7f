"""Interrupt a training in every way there is, go on with it, and compare all tensors with one that never stopped."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from glassnet.errors import DataError, RunLocked, StorageError
from glassnet.training import checkpoint, loop
from glassnet.training.checkpoint import load_state
from glassnet.training.run import Run
from glassnet.training.train import resume, train

SOURCE = Path(__file__).resolve().parents[2] / "src"
SCRIPT = Path(__file__).with_name("tiny.py")
SGD = {"ema": 0.9, "shift": 2, "mixup": 0.4, "cutmix": 1.0, "erasing": 0.3, "freeze": 0.5, "validate_every": 0.4}
ADAMW = {"optimiser": "adamw", "learning_rate": 0.003, "clip": 1.0, "accumulate": 3, "balance": "sampling"}
MUON = {"optimiser": "muon", "schedule": "triangular", "layer_decay": 0.7, "precision": "bf16", "select": "last"}
COMMON = {"batch_size": 32, "epochs": 4}
RECIPES = {"sgd": SGD, "adamw": ADAMW, "muon": MUON}


def choices(name: str) -> dict[str, Any]:
    return {"overrides": {"precision": "fp32", **COMMON, **RECIPES[name]}, "threads": 1, "seed": 3, "quiet": True}


@pytest.fixture(scope="module")
def uninterrupted(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """For each recipe a run that was never interrupted."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    torch.set_num_threads(1)
    return {name: train(small_data, network="tiny", output=folder / name, **choices(name)) for name in RECIPES}


def assert_same(run: Run, reference: Run) -> None:
    """Every tensor of every file, every counter, every line of metrics but its times."""
    for name in ("network", "last", "resume"):
        ours = safetensors.torch.load_file(run.path / f"{name}.safetensors")
        theirs = safetensors.torch.load_file(reference.path / f"{name}.safetensors")
        assert ours.keys() == theirs.keys()
        different = [key for key in ours if not torch.equal(ours[key], theirs[key])]
        assert not different, f"{name}.safetensors differs in {different}"
    counters = [load_state(each.state_path)[1]["counters"] for each in (run, reference)]
    timed = {"seconds", "marked", "history"}
    assert {k: v for k, v in counters[0].items() if k not in timed} == {
        k: v for k, v in counters[1].items() if k not in timed
    }
    timeless = [
        [{k: v for k, v in line.items() if k not in ("seconds", "pictures_per_second")} for line in each.metrics()]
        for each in (run, reference)
    ]
    assert timeless[0] == timeless[1]
    assert run.network.card.temperature == reference.network.card.temperature


def start(data: Path, output: Path, name: str, **environment: str) -> subprocess.Popen[bytes]:
    """Train in a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(data), str(output), json.dumps(choices(name))],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", **environment},
        stderr=subprocess.PIPE,
    )


def kill_at_random(process: subprocess.Popen[bytes], path: Path, wait: float) -> bool:
    """Kill -9 the process `wait` seconds after its first save; tell whether it was still training."""
    while not path.exists() and process.poll() is None:
        time.sleep(0.002)
    time.sleep(wait)
    alive = process.poll() is None
    process.kill()
    _, errors = process.communicate()
    assert alive or process.returncode == 0, errors.decode()
    return alive


def test_a_killed_training_goes_on_to_the_same_bits(
    small_data: Path, tmp_path: Path, uninterrupted: dict[str, Run]
) -> None:
    output = tmp_path / "run"
    process = start(small_data, output, "sgd", GLASSNET_SAVE_SECONDS="0")
    assert kill_at_random(process, output / "resume.safetensors", random.uniform(0, 0.2))
    step = load_state(output / "resume.safetensors")[1]["counters"]["step"]
    assert 0 < step < 32, "the kill came too late to say anything"
    assert_same(resume(output, quiet=True), uninterrupted["sgd"])


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_killed_again_and_again(small_data: Path, tmp_path: Path, uninterrupted: dict[str, Run], name: str) -> None:
    """Kill at random moments, before the first save, between two or during one; resume in a new process, kill that."""
    output, kills = tmp_path / "run", 0
    state = output / "resume.safetensors"
    command = f"import runpy; runpy.run_path({str(SCRIPT)!r}); from glassnet.training.train import resume"
    command += f"; resume({str(output)!r}, quiet=True)"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "GLASSNET_SAVE_SECONDS": "0"}
    process = start(small_data, output, name, GLASSNET_SAVE_SECONDS="0")
    kills += kill_at_random(process, output / "run.json", random.uniform(0.0, 0.3))
    while not Run(output).finished and kills < 6:
        before = state.stat().st_mtime_ns if state.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", command], env=environment, stderr=subprocess.PIPE)
        while process.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
            time.sleep(0.002)
        kills += kill_at_random(process, state, random.uniform(0.0, 0.06))
    assert kills >= 4
    assert_same(resume(output, quiet=True), uninterrupted[name])


@pytest.mark.parametrize("name", RECIPES)
def test_an_interrupted_training_goes_on_to_the_same_bits(
    small_data: Path,
    tmp_path: Path,
    uninterrupted: dict[str, Run],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ctrl-C in the middle of a step: the step is finished, the state saved, and a line says how to go on."""
    steps = 0
    take_step = loop.take_step

    def interrupt(*arguments: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == 13:
            signal.raise_signal(signal.SIGINT)
        take_step(*arguments)

    output = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(loop, "take_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(small_data, network="tiny", output=output, **choices(name) | {"quiet": None})
    assert f"glassnet resume {output}" in capsys.readouterr().err
    assert load_state(output / "resume.safetensors")[1]["counters"]["step"] == 13
    assert not Run(output).finished
    assert_same(resume(output, quiet=True), uninterrupted[name])


def test_a_full_disk_loses_nothing_that_was_saved(
    small_data: Path, tmp_path: Path, uninterrupted: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    output, saves = tmp_path / "run", 0
    save_file = safetensors.torch.save_file

    def fill(tensors: Any, path: Path, **rest: Any) -> None:
        nonlocal saves
        saves += "sums" in tensors
        if saves == 6:
            Path(path).write_bytes(b"half a file")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        save_file(tensors, path, **rest)

    with monkeypatch.context() as patch:
        patch.setenv("GLASSNET_SAVE_SECONDS", "0")
        patch.setattr(checkpoint.safetensors.torch, "save_file", fill)
        with pytest.raises(StorageError, match="disk is full"):
            train(small_data, network="tiny", output=output, **choices("sgd"))
    assert load_state(output / "resume.safetensors")[1]["counters"]["step"] == 5
    assert not [path for path in output.iterdir() if "partial" in path.name]
    assert_same(resume(output, quiet=True), uninterrupted["sgd"])


def test_a_second_process_is_refused(small_data: Path, tmp_path: Path) -> None:
    run = train(small_data, network="tiny", output=tmp_path / "run", **choices("sgd") | {"epochs": 0.1})
    command = f"from glassnet.training.run import Run; lock = Run({str(run.path)!r}).lock(); lock.__enter__(); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{command}"],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 60
        while f"process {holder.pid} " not in (run.path / ".lock").read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(RunLocked, match=f"process {holder.pid} "):
            resume(run.path, quiet=True)
    finally:
        holder.kill()
        holder.communicate()
    assert resume(run.path, quiet=True).finished


def test_changed_data_are_refused(small_data: Path, tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data.npz"
    data.write_bytes(small_data.read_bytes())

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "take_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(data, network="tiny", output=tmp_path / "run", **choices("sgd"))
    tiny.write_data(data, train_items=300)
    with pytest.raises(DataError, match="not those that this run began with"):
        resume(tmp_path / "run", quiet=True)


def test_other_threads_are_said(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "take_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(small_data, network="tiny", output=tmp_path / "run", **choices("sgd") | {"epochs": 0.1})
    resume(tmp_path / "run", threads=2)
    assert "threads 1 -> 2; the weights may differ" in capsys.readouterr().err
