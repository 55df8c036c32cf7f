"""Two processes under torchrun train one detector, and one localiser: exact, and validated on all pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch

from glassnet.training.run import Run

SOURCE = Path(__file__).resolve().parents[3] / "src"
SCRIPT = """
import json, sys
from glassnet.tasks import kind_for
from glassnet.training.train import train
data, output, task, choices = sys.argv[1:]
train(data, output=output, kind=kind_for(data, task), threads=1, quiet=True, **json.loads(choices))
"""
CHOICES = {
    "detect": {
        "backbone": "mobilenet_v2 width=0.25",
        "arguments": {"width": 16},
        "overrides": {"size": 96, "batch_size": 4, "frozen_stages": 0, "validate_every": 1, "precision": "fp32"},
        "epochs": 2,
    },
    "localise": {
        "network": "mobilenet_v2",
        "arguments": {"width": 0.25},
        "overrides": {"size": 64, "batch_size": 4, "precision": "fp32"},
        "epochs": 2,
    },
}


def in_two(script: Path, data: Path, output: Path, task: str) -> dict[str, object]:
    """Train in two processes; return the weights."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    command += [str(data), str(output), task, json.dumps(CHOICES[task])]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(safetensors.torch.load_file(output / "network.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize("task", list(CHOICES))
def test_two_processes_train_one_network(shapes: Path, tmp_path: Path, task: str) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")
    first = in_two(script, shapes, tmp_path / "one", task)
    run = Run(tmp_path / "one")
    assert run.finished
    assert run.facts["plan"]["processes"] == 2
    assert run.facts["plan"]["steps_per_epoch"] == 24 // 8, "24 pictures, twice 4 in a step"
    assert [line["epoch"] for line in run.metrics()] == [1, 2]
    again = in_two(script, shapes, tmp_path / "again", task)
    assert first.keys() == again.keys()
    assert all((first[name] == again[name]).all() for name in first), "and it is exact"
