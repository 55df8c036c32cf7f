"""Training localisers: shapes are learnt, a run is whole, a resume gives the same bits, wrong input is told apart."""

from __future__ import annotations

import json
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import glassnet
from glassnet.cli import app
from glassnet.data.annotations.scan import scan_boxes
from glassnet.detection.localisation import Localiser
from glassnet.detection.localisation.judge import judge_localiser
from glassnet.detection.localisation.judgement import LocalisationJudgement
from glassnet.detection.localisation.recipes import RECIPES, LocalisationRecipe
from glassnet.detection.localisation.run import LocalisationRun
from glassnet.errors import DataError, InputError, NetworkFileError, UnknownName
from glassnet.training.loop import take_step

BODY = """
name = "small"
input = [32, 48, 3]
layers = [
    { conv = 16, stride = 2, norm = "batch", activation = "relu" },
    { conv = 32, stride = 2, norm = "batch", activation = "relu" },
    { conv = 32, stride = 2, norm = "batch", activation = "relu" },
    { pool = "global_average" },
]
"""
QUICK = {"epochs": 2, "batch_size": 8, "learning_rate": 3e-3, "precision": "fp32"}


def write_pictures(folder: Path, count: int, splits: list[str], *, second: bool = False) -> Path:
    """Write pictures of 32x48 with one bright disc or square, every sixth with nothing; return the table of boxes.

    second: beside each object lies a smaller one of the other class.
    """
    generator = np.random.default_rng(0)
    rows = ["path,label,xmin,ymin,xmax,ymax,split"]
    y, x = np.mgrid[:32, :48] + 0.5
    for number in range(count):
        picture = generator.integers(0, 60, (32, 48, 3), dtype=np.uint8)
        side, name = int(generator.integers(12, 20)), f"{number:03}.png"
        left, top = int(generator.integers(6, 48 - side)), int(generator.integers(6, 32 - side))
        disc = bool(generator.integers(0, 2))
        inside = (abs(x - left - side / 2) < side / 2) & (abs(y - top - side / 2) < side / 2)
        if disc:
            inside = (x - left - side / 2) ** 2 + (y - top - side / 2) ** 2 < side**2 / 4
        if number % 6 == 5:
            rows.append(f"{name},,,,,,{splits[number]}")
        else:
            picture[inside] = generator.integers(150, 256, 3)
            label = "disc" if disc else "square"
            rows.append(f"{name},{label},{left},{top},{left + side},{top + side},{splits[number]}")
            if second:
                rows.append(f"{name},{'square' if disc else 'disc'},0,0,4,4,{splits[number]}")
        Image.fromarray(picture).save(folder / name)
    table = folder / "boxes.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 42 pictures with one object or none: 24 to train, 6 to validate, 12 to test."""
    return write_pictures(
        tmp_path_factory.mktemp("shown"), 42, ["train"] * 24 + ["validation"] * 6 + ["test"] * 12, second=True
    )


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("body") / "small.toml"
    path.write_text(BODY, "utf-8")
    return str(path)


def train(data: Path, output: Path, body: str | None, **choices: Any) -> Any:
    how: dict[str, Any] = {"overrides": QUICK, "quiet": True, "network": body, **choices}
    return glassnet.train(data, task="localise", output=output, **how)


@pytest.fixture(scope="module")
def run(shown: Path, body: str, tmp_path_factory: pytest.TempPathFactory) -> LocalisationRun:
    found = train(shown, tmp_path_factory.mktemp("runs") / "shown", body)
    assert isinstance(found, LocalisationRun)
    return found


def test_a_run_is_whole(run: LocalisationRun) -> None:
    assert run.task == "localisation"
    found = run.evaluation
    assert isinstance(found, LocalisationJudgement)
    assert (found.n, found.objects, found.several, found.network) == (12, 10, 10, "small")
    assert [row.name for row in found.per_class] == ["disc", "square"]
    assert sum(row.support for row in found.per_class) == 10
    line = run.metrics()[-1]
    assert {"train_accuracy", "validation_accuracy", "validation_mean_iou", "validation_presence"} <= set(line)
    card = run.network.card
    assert (card.task, card.classes, card.preprocess["resize"]) == ("localisation", ("disc", "square"), "squash")
    assert card.data["counts"]["train_objects"] == 40
    assert isinstance(run.recipe, LocalisationRecipe)
    assert isinstance(glassnet.load(run.path), Localiser)
    assert "20 pictures show several objects; the largest is the one" in run.facts["decided"]["reason"]
    page = run.report.read_text("utf-8")
    assert f"{found.accuracy:.1%}".replace("%", "") in page
    assert "mean IoU" in page
    assert "boxes.csv --task localise --network" in page  # how to reproduce it: without the task it would be a detector


def test_the_judgement_survives_json_and_is_that_of_the_task(run: LocalisationRun) -> None:
    found = glassnet.evaluate(run.path, split="validation")
    assert isinstance(found, LocalisationJudgement)
    assert LocalisationJudgement.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found
    best = max(run.metrics(), key=lambda line: line["validation_score"])
    # IoU is the same in pixels of the input and of the picture; batch norms are folded here.
    assert found.mean_iou == pytest.approx(best["validation_mean_iou"], abs=1e-4)
    assert found.accuracy == pytest.approx(best["validation_accuracy"])
    assert found.class_accuracy == pytest.approx(best["validation_class_accuracy"])
    with pytest.raises(InputError, match=r"this is not a judgement that this version wrote .*; evaluate again"):
        LocalisationJudgement.from_dict({"accuracy": 1.0})


def test_evaluate_takes_runs_files_and_data(run: LocalisationRun, shown: Path) -> None:
    own, same = glassnet.evaluate(run.path), glassnet.evaluate(run.network_path, shown)
    assert isinstance(own, LocalisationJudgement)
    assert isinstance(same, LocalisationJudgement)
    assert (own.accuracy, own.mean_iou, own.n) == (same.accuracy, same.mean_iou, same.n)
    with pytest.raises(InputError, match="tta is for classifiers; a localiser looks once"):
        glassnet.evaluate(run.path, tta=True)
    with pytest.raises(InputError, match="has no data of its own"):
        glassnet.evaluate(run.network_path)
    with pytest.raises(InputError, match="finds objects; use: glassnet detect"):
        glassnet.predict(run.path, run.report)
    with pytest.raises(InputError, match="split is 'tset'; expected one of"):
        glassnet.evaluate(run.path, shown, split="tset")


def test_right_and_wrong_by_hand(run: LocalisationRun, shown: Path) -> None:
    """A network that says the true box of the first test picture everywhere is right there and wrong on background."""
    index = scan_boxes(shown)
    items = index.select("test")
    left, top, right, bottom = index.objects[items[0]].boxes[0].tolist()
    localiser = Localiser.load(run.path)
    with torch.no_grad():
        last = list(localiser.module.head.parameters())
        last[-2].zero_()
        box = torch.tensor([(left + right) / 2 / 48, (top + bottom) / 2 / 32, (bottom - top) / 32, (right - left) / 48])
        one = torch.nn.functional.one_hot(torch.tensor(int(index.objects[items[0]].labels[0])), 2)
        last[-1].copy_(torch.cat([torch.tensor([9.0]), torch.logit(box), 20.0 * one]))
    found = judge_localiser(localiser, index, items[:1])
    assert (found.accuracy, found.class_accuracy, found.n, found.wrong) == (1.0, 1.0, 1, [])
    assert found.mean_iou == pytest.approx(1.0, abs=1e-4)
    nothing = next(item for item in items.tolist() if len(index.objects[item]) == 0)
    found = judge_localiser(localiser, index, np.array([items[0], nothing]))
    assert (found.accuracy, found.presence, found.objects, found.mean_iou) == (
        0.5,
        0.5,
        1,
        pytest.approx(1.0, abs=1e-4),
    )
    (wrong,) = found.wrong
    assert (wrong.truth, wrong.iou, wrong.said is None) == (None, None, False)
    empty = judge_localiser(localiser, index, np.array([nothing]))
    assert (empty.mean_iou, empty.class_accuracy, empty.per_class[0].accuracy) == (None, None, None)
    with pytest.raises(InputError, match="there is no picture to judge; choose another split or other data"):
        judge_localiser(localiser, index, items[:0])


def test_resume_gives_the_same_bits(
    run: LocalisationRun, shown: Path, body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []

    def interrupted(*args: object) -> None:
        steps.append(take_step(*args))  # type: ignore[arg-type,func-returns-value]
        if len(steps) == 2:  # in the middle of the first epoch of three steps
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("glassnet.training.loop.take_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(shown, tmp_path / "cut", body)
    assert len(steps) == 2
    found = glassnet.resume(tmp_path / "cut", quiet=True, explain=False)
    one, other = (Localiser.load(path).module.state_dict() for path in (run.path, tmp_path / "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert found.evaluation is not None
    assert found.report.exists()


def test_it_goes_on_from_a_localiser(run: LocalisationRun, shown: Path, tmp_path: Path) -> None:
    source = Localiser.load(run.path)
    same = source.for_classes(source.classes, parent="there")
    other = source.for_classes(("cat", "dog", "hen"))
    assert (same.card.parent, other.classes) == ("there", ("cat", "dog", "hen"))
    image = torch.randn(1, 3, *source.size)
    with torch.no_grad():
        said, again, fresh = (each.module.eval()(image) for each in (source, same, other))
    assert torch.equal(said, again)
    assert fresh.shape == (1, 8)
    assert torch.allclose(fresh[:, :5], said[:, :5], atol=1e-6)  # pc and the box stay
    found = train(shown, tmp_path / "run", None, start_from=run.path, report=False)
    assert found.network.card.parent == str(run.path)
    with pytest.raises(InputError, match=r"size=64 and a localiser to start from, .* an input of 32x48 only"):
        train(shown, tmp_path / "b", None, start_from=run.path, overrides={"size": 64})


def test_on_the_command_line(run: LocalisationRun, shown: Path, body: str, tmp_path: Path) -> None:
    runner = CliRunner()
    words = ["train", str(shown), "--task", "localise", "--network", body, "--epochs", "1", "--quiet", "--json"]
    said = runner.invoke(app, [*words, "--no-report", "--output", str(tmp_path / "run")])
    assert said.exit_code == 0, said.output
    assert set(json.loads(said.stdout)) == {"run", "network"}
    said = runner.invoke(app, ["evaluate", str(run.path)])
    assert said.exit_code == 0, said.output
    assert re.search(r"class and box right \d+\.\d%", said.stdout)
    assert "pictures with several objects: 10; only the largest" in said.stdout
    said = runner.invoke(app, ["evaluate", str(run.path), str(shown), "--json"])
    assert said.exit_code == 0, said.output
    judged = LocalisationJudgement.from_dict(json.loads(said.stdout))
    assert replace(judged, seconds=0.0) == replace(run.evaluation, seconds=0.0)
    said = runner.invoke(app, ["inspect", str(run.path), "--json"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["parameters"] == run.network.num_parameters
    said = runner.invoke(app, ["recipes", "--json"])
    assert json.loads(said.stdout)["localise"]["box_weight"] == 5.0
    picture = str(shown.parent / "000.png")
    said = runner.invoke(app, ["detect", str(run.path), picture, "--json", "--threshold", "0"])
    assert said.exit_code == 0, said.output
    row = json.loads(said.stdout)
    assert row["path"] == picture
    assert len(row["boxes"]) == 1
    assert runner.invoke(app, ["detect", str(run.path), picture, "--batch-size", "2"]).exit_code == 0


@pytest.mark.parametrize("name", ["resnet18", "lenet5"])  # a head on maps, and one dense layer
def test_what_names_the_object_is_a_classifier(name: str) -> None:
    localiser = Localiser.create(name, ["a", "b", "c"])
    named = localiser.classifier()
    images = torch.randn(2, *localiser.module.input_size)
    with torch.no_grad():
        said, logits = localiser.module.eval()(images), named.module.eval()(images)
    assert torch.allclose(logits, said[:, 5:], atol=1e-5)
    assert (named.classes, named.preprocess) == (localiser.classes, localiser.preprocess)
    before = localiser.module.state_dict()
    with torch.no_grad():
        named.module.head.weight.zero_()
    assert all(tensor.abs().max() > 0 for key, tensor in before.items() if key.startswith("head.said.weight"))


def test_what_names_the_object_is_explained(run: LocalisationRun, shown: Path, tmp_path: Path) -> None:
    picture, figure = str(shown.parent / "000.png"), tmp_path / "why.png"
    words = ["explain", str(run.path), picture, "--method", "occlusion,gradcam", "-o", str(figure), "--json"]
    said = CliRunner().invoke(app, [*words, "--set", "occlusion.stride=8"])
    assert said.exit_code == 0, said.output
    with Image.open(figure) as drawn:
        assert drawn.width > 300
    refused = CliRunner().invoke(app, ["explain", str(run.path), picture, "--pretrained"])
    assert "pretrained is for a registered network" in str(refused.exception)
    assert all(f'"method": "{name}"' in said.stdout for name in ("occlusion", "gradcam"))
    assert any(f'"label": "{name}"' in said.stdout for name in run.network.classes), said.stdout


def test_the_sentence_says_accuracy_and_mean_iou(
    shown: Path, body: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(shown, tmp_path / "run", body, quiet=None, report=False, overrides=QUICK | {"epochs": 1})
    assert re.search(r"accuracy \d+\.\d%  validation \d+\.\d% \(best\)  mean IoU 0\.\d\d", capsys.readouterr().err)


def test_fields_without_a_sense_are_refused() -> None:
    with pytest.raises(InputError, match=r"recipe field mixup=0\.2: localisation does not use it"):
        RECIPES.find("localise", mixup=0.2)
    with pytest.raises(UnknownName, match="mosaic"):
        RECIPES.find("localise", mosaic=0.5)
    with pytest.raises(InputError, match=r"recipe field score='map': expected one of accuracy, mean_iou, loss"):
        RECIPES.find("localise", score="map")
    with pytest.raises(InputError, match=r"recipe field box_weight=0\.0: expected at least 0\.01 and at most 1000"):
        RECIPES.find("localise", box_weight=0)
    with pytest.raises(UnknownName, match=r"recipes of localisation are localise, or a \.toml file"):
        RECIPES.find("detect")


def test_wrong_calls_are_told_apart(run: LocalisationRun, shown: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    with pytest.raises(InputError, match="backbone 'resnet18' is for detectors; a localiser is a classifier's body"):
        train(shown, output, None, backbone="resnet18")
    with pytest.raises(UnknownName, match="yolo"):
        train(shown, output, "yolo")
    with pytest.raises(UnknownName, match="there are auto, classify, detect, localise"):
        glassnet.train(shown, task="localize", output=output, quiet=True)
    with pytest.raises(InputError, match="the network takes no pictures of 8x8 with 3 channels"):
        train(shown, output, "lenet5", overrides=QUICK | {"size": 8})
    folder = tmp_path / "classes"
    folder.mkdir()
    with pytest.raises(InputError, match="backbone 'resnet18' is for detectors; a classifier is named by its network"):
        glassnet.train(folder, task="classify", backbone="resnet18", output=output, quiet=True)
    with pytest.raises(NetworkFileError, match="a network for 'localisation', expected one for 'detection'"):
        glassnet.train(shown, task="detect", start_from=run.path, output=output, quiet=True)
    with pytest.raises(InputError, match="pretrained is for a registered network"):
        glassnet.load(run.path, pretrained=True)
    assert not output.exists()


def test_no_boxes_to_learn_from(body: str, tmp_path: Path) -> None:
    table = write_pictures(tmp_path, 4, ["train"] * 3 + ["test"])
    rows = table.read_text().splitlines()
    table.write_text("\n".join([rows[0], *(f"00{number}.png,,,,,,train" for number in range(3)), rows[4]]) + "\n")
    with pytest.raises(DataError, match="none of the 2 training pictures has a usable box"):
        train(table, tmp_path / "run", body)
    folder = tmp_path / "classes"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / name / "1.png")
    with pytest.raises(DataError, match="box"):
        train(folder, tmp_path / "run", body)


def test_changed_data_are_not_judged(run: LocalisationRun, body: str, tmp_path: Path) -> None:
    table = write_pictures(tmp_path, 12, ["train"] * 8 + ["validation"] * 2 + ["test"] * 2)
    found = train(table, tmp_path / "run", body, report=False)
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:-2]) + "\n")
    with pytest.raises(DataError, match=r"have changed since .* was trained on them"):
        glassnet.evaluate(found.path)
    table.write_text("\n".join(line.replace("disc", "ring") for line in lines) + "\n")
    with pytest.raises(DataError, match="the data's class 'ring' is unknown to small"):
        glassnet.evaluate(run.path, table)


@pytest.mark.slow
def test_shapes_are_learnt(body: str, tmp_path: Path) -> None:
    splits = ["train"] * 480 + ["validation"] * 60 + ["test"] * 120
    table = write_pictures(tmp_path, len(splits), splits)
    how = QUICK | {"epochs": 30, "batch_size": 16, "learning_rate": 5e-3, "validate_every": 5}
    found = train(table, tmp_path / "run", body, overrides=how, report=False)
    judged = glassnet.evaluate(found.path)
    assert isinstance(judged, LocalisationJudgement)
    assert judged.accuracy > 0.8, judged
    assert judged.mean_iou is not None
    assert judged.mean_iou > 0.7
