"""Training detectors: shapes are learnt, a run is whole, a resume gives the same bits, wrong input is told apart."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import glassnet
from glassnet.cli import app
from glassnet.detection.detector import Detector
from glassnet.detection.training.recipes import RECIPES, DetectionRecipe
from glassnet.detection.training.run import DetectionRun
from glassnet.errors import DataError, InputError, UnknownName
from glassnet.training.loop import take_step

QUICK = {
    "epochs": 2,
    "size": 96,
    "batch_size": 8,
    "validate_every": 1,
    "frozen_stages": 0,
    "learning_rate": 3e-3,
    "precision": "fp32",
}
SMALL = {"backbone": "mobilenet_v2 width=0.25", "arguments": {"width": 16}, "quiet": True, "threads": 1}


@pytest.fixture(scope="module")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> DetectionRun:
    output = tmp_path_factory.mktemp("runs") / "shapes"
    found = glassnet.train(shapes, output=output, overrides=QUICK, explain=False, **SMALL)
    assert isinstance(found, DetectionRun)
    return found


def test_a_run_is_whole(run: DetectionRun) -> None:
    assert run.task == "detection"
    assert run.report.exists()
    assert run.evaluation.n == 8
    assert {"map", "map50"} <= {key.removeprefix("validation_") for key in run.metrics()[-1]}
    card = run.network.card
    assert (card.task, card.classes) == ("detection", ("disc", "square"))
    assert card.data["counts"]["train"] == 24
    assert card.data["counts"]["train_objects"] > 24
    assert set(card.thresholds) == {"disc", "square"}
    assert isinstance(run.recipe, DetectionRecipe)
    assert isinstance(glassnet.load(run.path), Detector)


def test_evaluate_takes_runs_and_data(run: DetectionRun, shapes: Path) -> None:
    own, same = glassnet.evaluate(run.path), glassnet.evaluate(run.path, shapes)
    assert own.to_dict()["map"] == same.to_dict()["map"]
    with pytest.raises(InputError, match="tta is for classifiers; a detector looks once"):
        glassnet.evaluate(run.path, tta=True)


def test_the_input_has_the_pictures_shape(run: DetectionRun) -> None:
    preprocess = run.network.preprocess
    assert (preprocess.height, preprocess.width, preprocess.resize) == (64, 96, "pad")


def test_resume_gives_the_same_bits(
    run: DetectionRun, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []

    def interrupted(*args: object) -> None:
        steps.append(take_step(*args))  # type: ignore[arg-type,func-returns-value]
        if len(steps) == 2:  # in the middle of the first epoch of three steps
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("glassnet.training.loop.take_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            glassnet.train(shapes, output=tmp_path / "cut", overrides=QUICK, report=False, **SMALL)
    assert len(steps) == 2
    glassnet.resume(tmp_path / "cut", report=False, quiet=True)
    one, other = (Detector.load(path).module.state_dict() for path in (run.path, tmp_path / "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert Detector.load(tmp_path / "cut").card.thresholds == run.network.card.thresholds


@pytest.mark.slow
def test_shapes_are_learnt(shapes: Path, tmp_path: Path) -> None:
    how = QUICK | {"epochs": 120, "validate_every": 20, "batch_size": 8}
    found = glassnet.train(shapes, output=tmp_path / "run", overrides=how, report=False, **SMALL)
    assert glassnet.evaluate(found.path).map50 > 0.6  # type: ignore[union-attr]


@pytest.mark.slow
def test_the_first_yolo_learns_too(shapes: Path, tmp_path: Path) -> None:
    how = QUICK | {"epochs": 30, "validate_every": 10}
    found = glassnet.train(shapes, network="yolo_v1", output=tmp_path / "run", overrides=how, report=False, **SMALL)
    losses = [line["train_loss"] for line in found.metrics()]
    assert losses[-1] < 0.7 * losses[0]


def test_what_only_classifiers_have_is_refused() -> None:
    with pytest.raises(InputError, match=r"recipe field mixup=0\.2: detection does not use it"):
        RECIPES.find("detect", mixup=0.2)
    with pytest.raises(InputError, match=r"recipe field mosaic=1\.5: expected at least 0 and at most 1"):
        RECIPES.find("detect", mosaic=1.5)
    with pytest.raises(UnknownName, match="detect"):
        RECIPES.find("quick")


def test_a_classifier_is_no_detector_to_train(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="a classifier goes to --backbone"):
        glassnet.train(shapes, network="resnet18", output=tmp_path / "run", quiet=True)
    with pytest.raises(UnknownName, match="task"):
        glassnet.train(shapes, task="detekt", output=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_no_boxes_to_learn_from(tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    generator = np.random.default_rng(0)
    rows = ["path,label,xmin,ymin,xmax,ymax,split"]
    for number in range(4):
        Image.fromarray(generator.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,cat,2,2,9,9,test" if number == 3 else f"{number}.png,,,,,,train")
    table.write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match="none of the 2 training pictures has a usable box"):
        glassnet.train(table, output=tmp_path / "run", quiet=True, **{k: v for k, v in SMALL.items() if k != "quiet"})


def test_detect_on_the_command_line(run: DetectionRun, shapes: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    picture = str(shapes.parent / "000.png")
    said = runner.invoke(app, ["detect", str(run.path), picture, "--json", "--threshold", "0"])
    assert said.exit_code == 0, said.output
    row = json.loads(said.stdout.splitlines()[0])
    assert row["path"] == picture
    assert {"label", "score", "xyxy"} == set(row["boxes"][0])
    drawn = tmp_path / "drawn"
    said = runner.invoke(app, ["detect", str(run.path), picture, "--output", str(drawn)])
    assert said.exit_code == 0, said.output
    assert [path.name for path in drawn.iterdir()] == ["000.png"]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    said = runner.invoke(app, ["detect", str(run.path), picture, str(broken)])
    assert said.exit_code == 1


def test_classifiers_and_detectors_are_told_apart(run: DetectionRun) -> None:
    with pytest.raises(InputError, match="finds objects; use: glassnet detect"):
        glassnet.predict(run.path, run.report)


def test_objects_that_share_a_cell_are_said(shapes: Path, tmp_path: Path) -> None:
    how = QUICK | {"epochs": 1}
    choices = SMALL | {"arguments": {"width": 16, "cells": 1}}
    found = glassnet.train(shapes, network="yolo_v1", output=tmp_path / "run", overrides=how, report=False, **choices)
    said = found.facts["decided"]["reason"]
    assert "objects share a cell of the 1x1 grid, which can answer for one each" in said


@pytest.mark.parametrize(
    "choices, message",
    [
        ({"backbone": "resnet18"}, "backbone 'resnet18' and a detector to start from"),
        ({"overrides": {"size": 640}}, "size=640 and a detector to start from, which was trained at 64x96"),
    ],
)
def test_what_a_detector_to_start_from_has_decided(
    run: DetectionRun, shapes: Path, tmp_path: Path, choices: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        glassnet.train(shapes, start_from=run.path, output=tmp_path / "run", quiet=True, **choices)


def test_explaining_boxes_refuses_what_it_cannot_use(run: DetectionRun, shapes: Path) -> None:
    words = ["explain", str(run.path), str(shapes.parent / "000.png"), "--device", "cuda"]
    said = CliRunner().invoke(app, words)
    assert isinstance(said.exception, InputError)
    assert "explained on the CPU; leave out --device" in str(said.exception)
