"""Two processes under torchrun train as one: the same loop, shared gradients, one run folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from glassnet.errors import InputError
from glassnet.training.distributed import Workers, unwrap, without_sync, workers
from glassnet.training.run import Run
from glassnet.training.train import train

SOURCE = Path(__file__).resolve().parents[2] / "src"
SCRIPT = Path(__file__).with_name("tiny.py")
CHOICES = json.dumps(
    {
        "epochs": 3,
        "overrides": {"batch_size": 16, "ema": 0.9, "freeze": 1.0, "accumulate": 2, "precision": "fp32"},
        "threads": 1,
    }
)


def test_alone_everything_is_what_it_was() -> None:
    alone = Workers(0, 1, torch.device("cpu"))
    module, tensor = nn.Linear(2, 2), torch.arange(3)
    assert alone.leads
    assert alone.wrap(module) is module
    assert unwrap(module) is module
    assert alone.gather(tensor) is tensor
    assert alone.sum(tensor) is tensor
    assert alone.share("text") == "text"
    assert alone.any(True)
    assert not alone.any(False)
    assert alone.agree({"score": 1.0}) == {"score": 1.0}
    with without_sync(module), alone.in_turn():
        alone.wait()


def test_devices_that_cannot_share_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(InputError, match="cannot train in 2 processes"), workers(torch.device("mps")):
        pass


def torchrun(*arguments: str) -> str:
    """Run a script in two processes and return what they wrote to stderr."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


TALK = """
import torch
from glassnet.training.distributed import workers
with workers(torch.device("cpu")) as team:
    rank = team.rank
    assert team.world == 2
    assert team.share(f"told by {rank} äö") == "told by 0 äö"
    assert team.any(rank == 1) and not team.any(False)
    assert team.sum(torch.tensor([1.0 + rank])).item() == 3
    rows = torch.full((3 - rank, 2), float(rank))
    assert team.gather(rows)[:, 0].tolist() == [0, 0, 0, 1, 1]
    assert team.agree({"a": float(rank)}) == {"a": 0.0}
    torch.manual_seed(rank)
    module = torch.nn.Linear(2, 1, bias=False)
    model = team.wrap(module)
    model(torch.ones(1, 2) * (rank + 1)).sum().backward()
    assert module.weight.grad.tolist() == [[1.5, 1.5]]
    with team.in_turn():
        pass
"""


@pytest.mark.slow
def test_two_processes_talk(tmp_path: Path) -> None:
    (tmp_path / "talk.py").write_text(TALK)
    torchrun(str(tmp_path / "talk.py"))


@pytest.mark.slow
def test_two_processes_train_one_network(small_data: Path, tmp_path: Path) -> None:
    shown = torchrun(str(SCRIPT), str(small_data), str(tmp_path / "two"), CHOICES)
    assert shown.count("validation") == 3, "only the first process speaks"
    two = Run(tmp_path / "two")
    assert two.finished
    assert two.facts["plan"]["processes"] == 2
    assert two.facts["plan"]["steps_per_epoch"] == 135 // 16
    assert [line["epoch"] for line in two.metrics()] == [1, 2, 3]
    assert two.metrics()[-1]["validation_accuracy"] > 0.2
    again = tmp_path / "again"
    torchrun(str(SCRIPT), str(small_data), str(again), CHOICES)
    first, second = (safetensors.torch.load_file(path / "network.safetensors") for path in (two.path, again))
    assert all(torch.equal(first[name], second[name]) for name in first), "and it is exact"


@pytest.mark.slow
def test_one_process_judges_and_speaks(small_data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "glassnet"]
    command += ["train", str(small_data), "--network", "lenet5", "--epochs", "1", "--set", "batch_size=16"]
    command += ["--output", str(tmp_path / "run"), "--quiet", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 40, "one answer, not two"
    assert (tmp_path / "run" / "report.html").exists()


PLAIN = """
import runpy, torch
torch.nn.Dropout.forward = lambda self, x: x
torch.nn.BatchNorm2d.forward = lambda self, x: x * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
"""


@pytest.mark.slow
def test_the_gradient_of_two_halves_is_that_of_the_whole(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step with 2 x 16 pictures is one step with 32, where no picture depends on another (no batch norm)."""
    plain = tmp_path / "plain.py"
    plain.write_text(PLAIN + f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n")
    choices = (
        '{"overrides": {"steps": 1, "batch_size": 16, "flip": 0.0, "shift": 0, "precision": "fp32"}, "threads": 1}'
    )
    torchrun(str(plain), str(small_data), str(tmp_path / "two"), choices)
    for kind in (nn.BatchNorm2d, nn.Dropout):
        monkeypatch.setattr(kind, "forward", kind.forward)  # put back afterwards
    exec(PLAIN)
    overrides = {"steps": 1, "batch_size": 32, "flip": 0.0, "shift": 0, "precision": "fp32"}
    train(small_data, network="tiny", output=tmp_path / "one", overrides=overrides, threads=1, quiet=True)
    one, two = (safetensors.torch.load_file(tmp_path / name / "last.safetensors") for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-6)
