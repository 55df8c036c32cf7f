"""The verbs that look inside, as a user meets them: files, tables, exit codes, and what they say to bad calls."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from glassnet import cli
from glassnet.models import Network


def width(path: Path) -> int:
    """Return a picture file's width in pixels."""
    with Image.open(path) as image:
        return image.width


VERBS = ("explain", "look", "patches", "filters")


class Shell:
    """Calls the command line in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys, self.monkeypatch = capsys, monkeypatch

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Return (exit code, stdout, stderr)."""
        self.monkeypatch.setattr(sys, "argv", ["glassnet", *map(str, arguments)])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = self.capsys.readouterr()
        code = left.value.code
        return code if isinstance(code, int) else int(code is not None), printed.out, printed.err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Network files without and with global average pooling, pictures, a folder of them, and one broken."""
    folder = tmp_path_factory.mktemp("things")
    torch.manual_seed(0)
    Network.create("resnet20_cifar", ["cat", "dog", "owl"]).save(folder / "net.safetensors")
    Network.create("lenet5", ["cat", "dog", "owl"]).save(folder / "lenet.safetensors")
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "data" / name / f"{number}.png")
    (folder / "bad.jpg").write_bytes(b"hello")
    names = {"NET": "net.safetensors", "LENET": "lenet.safetensors", "PICTURE": "data/cat/0.png", "DATA": "data"}
    return {word: str(folder / name) for word, name in {**names, "BAD": "bad.jpg", "NONE": "none/a.png"}.items()}


def test_explain_writes_a_figure_and_says_what_it_shows(shell: Shell, things: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    words = ("explain", things["NET"], things["PICTURE"], "--method", "gradcam,gradient", "--class", "owl", "-o", path)
    code, out, _ = shell(*words)
    assert code == 0
    assert width(path) > 1000
    assert "Grad-CAM" in out
    assert out.splitlines()[-1] == str(path)
    found = json.loads(shell(*words, "--json")[1])
    assert [one["method"] for one in found["explanations"]] == ["gradcam", "gradient"]
    assert {one["label"] for one in found["explanations"]} == {"owl"}


def test_a_bad_picture_among_several_is_a_row_and_leaves_with_1(
    shell: Shell, things: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "out.npz"
    code, out, err = shell(
        "explain", things["NET"], things["PICTURE"], things["BAD"], "--method", "gradient", "-o", path, "--json"
    )
    assert code == 1
    assert [one["error"] is not None for one in json.loads(out)["explanations"] if "error" in one] == [True]
    assert "1 picture(s) could not be read" in err
    assert path.exists()


def test_methods_are_listed_without_a_network(shell: Shell) -> None:
    code, out, _ = shell("explain", "--methods", "--json")
    assert code == 0
    assert {"occlusion", "gradcam", "deconvnet"} <= {row["name"] for row in json.loads(out)}
    assert "Zeiler" in shell("explain", "--methods")[1]


@pytest.mark.slow
def test_judge_prints_a_table_of_methods(shell: Shell, things: dict[str, str]) -> None:
    code, out, err = shell("explain", things["NET"], "--judge", things["DATA"], "--method", "gradient", "--json")
    assert code == 0, err
    assert any(row["method"] == "gradient" for row in json.loads(out)["rows"])


def test_look_writes_a_page(shell: Shell, things: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "look.html"
    code, out, _ = shell(
        "look", things["LENET"], things["PICTURE"], "-o", path, "--steps", "1", "--class", "dog", "--device", "cpu"
    )
    assert (code, out) == (0, f"{path}\n")
    assert "<h1>dog," in path.read_text()


@pytest.mark.slow
def test_patches_draws_and_lists_channels(shell: Shell, things: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "patches.png"
    words = ("patches", things["NET"], things["DATA"], "--layer", "stage1", "--channels", "0,5", "-o", path)
    found = json.loads(shell(*words, "--json")[1])
    assert [one["channel"] for one in found["channels"]] == [0, 5]
    assert found["pictures"] == 6
    code, out, _ = shell(*words)
    assert code == 0
    assert "channel 5" in out
    assert width(path) > 500


def test_filters_on_a_photo_a_sheet_and_a_network(shell: Shell, things: dict[str, str], tmp_path: Path) -> None:
    for number, words in enumerate(
        (
            [things["PICTURE"], "--kernel", "sobel_x,-1,1,-1,-1,5,-1,-2,2,-2", "--stride", "2"],
            [things["PICTURE"], "--kernel", "-1,1,-1,-1,5,-1,-2,2,-2", "--sheet", "--at", "3,4"],
            ["--network", things["NET"]],
        )
    ):
        path = tmp_path / f"{number}.png"
        assert shell("filters", *words, "-o", path)[:2] == (0, f"{path}\n")
        assert width(path) > 600


BAD_CALLS = {
    "unknown method": (["explain", "NET", "PICTURE", "--method", "gradcma"], "nearest: gradcam"),
    "unknown layer": (["explain", "NET", "PICTURE", "--method", "gradcam", "--layer", "satge1"], "stage1"),
    "unknown class": (["explain", "NET", "PICTURE", "--class", "dgo"], "nearest: dog"),
    "a class number too high": (["explain", "NET", "PICTURE", "--class", "7"], "no class number 7; there are 3"),
    "an occluder larger than the picture": (
        ["explain", "NET", "PICTURE", "--method", "occlusion", "--set", "size=99"],
        "99",
    ),
    "a negative stride": (["explain", "NET", "PICTURE", "--method", "occlusion", "--set", "stride=-1"], "-1"),
    "CAM without global average pooling": (
        ["explain", "LENET", "PICTURE", "--method", "cam"],
        "averaged over all positions",
    ),
    "a setting that nothing takes": (["explain", "NET", "PICTURE", "--set", "strid=4"], "stride"),
    "a picture that is none": (["explain", "NET", "BAD", "--method", "gradient"], "bad.jpg: no picture format"),
    "no such picture": (["explain", "NET", "nowhere.jpg", "--method", "gradient"], "nowhere.jpg"),
    "no picture": (["explain", "NET"], "no picture is given"),
    "no network": (["explain"], "no network is given"),
    "no such network": (["explain", "resnet19", "PICTURE"], "resnet18"),
    "into a missing folder": (["explain", "NET", "PICTURE", "-o", "NONE"], "its folder does not exist"),
    "an unknown ending": (["explain", "NET", "PICTURE", "-o", "a.gif"], ".png, .svg, .pdf"),
    "judge with a picture": (["explain", "NET", "PICTURE", "--judge", "DATA"], "leave out pictures"),
    "judge nothing": (["explain", "NET", "--judge", "nowhere"], "nowhere"),
    "look at no picture": (["look", "NET", "BAD"], "bad.jpg: no picture format"),
    "look into a missing folder": (["look", "NET", "PICTURE", "-o", "none/look.html"], "its folder does not exist"),
    "look into a png": (["look", "NET", "PICTURE", "-o", "look.png"], ".html"),
    "look with no steps": (["look", "NET", "PICTURE", "--steps", "0"], "steps is 0"),
    "look at an unknown layer": (["look", "NET", "PICTURE", "--layer", "satge1"], "stage1"),
    "patches of an unknown layer": (["patches", "NET", "DATA", "--layer", "satge1"], "stage1"),
    "patches of no channel": (["patches", "NET", "DATA", "--layer", "stage1", "--channels", "0,99"], "99"),
    "patches of words": (["patches", "NET", "DATA", "--channels", "a,b"], "--channels got 'a,b'"),
    "patches into a missing folder": (["patches", "NET", "DATA", "-o", "NONE"], "its folder does not exist"),
    "patches of no data": (["patches", "NET", "nowhere"], "nowhere"),
    "unknown kernel": (["filters", "PICTURE", "--kernel", "sobel"], "nearest: sobel_"),
    "eight numbers": (["filters", "PICTURE", "--kernel", "1,2,3,4,5,6,7,8"], "8 numbers stand together"),
    "filters of no photo": (["filters", "BAD"], "no picture format"),
    "filters of nothing": (["filters"], "give a photo, or a network"),
    "a sheet of two kernels": (["filters", "PICTURE", "--sheet", "--kernel", "sobel_x,sobel_y"], "2 are given"),
    "a place without a sheet": (["filters", "PICTURE", "--at", "1,1"], "--at is for --sheet"),
    "a place that is none": (["filters", "PICTURE", "--sheet", "--at", "1"], "expected row,column"),
    "a place outside": (["filters", "PICTURE", "--sheet", "--at", "99,1"], "no output at row 99"),
    "a stride of zero": (["filters", "PICTURE", "--stride", "0"], "stride is 0"),
    "kernels on a network": (["filters", "--network", "NET", "--kernel", "sobel_x"], "are for a photo"),
    "filters into a missing folder": (["filters", "PICTURE", "-o", "NONE"], "its folder does not exist"),
}


@pytest.mark.parametrize("call, expected", BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_a_bad_call_gets_one_line_and_exit_code_2(
    shell: Shell,
    things: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = shell(*(things.get(word, word) for word in call))
    assert code == 2, err
    assert expected in err
    assert "unexpected" not in err, "a bug of ours, not a bad call"
    assert len(err.splitlines()) == 1
    assert err.startswith("glassnet: ")
    assert list(tmp_path.iterdir()) == [], "something half-written was left"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(shell: Shell, verb: str) -> None:
    code, out, _ = shell(verb, "--help")
    assert code == 0
    assert f"Example: glassnet {verb}" in " ".join(out.split())


def test_ctrl_c_leaves_with_130(shell: Shell, things: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from glassnet.explain import api

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "explain_pictures", interrupted)
    assert shell("explain", things["NET"], things["PICTURE"])[0] == 130
