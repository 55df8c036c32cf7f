"""`glassnet inspect` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from glassnet import cli, show
from glassnet.models.inspection import inspect_network


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> object:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["glassnet", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = capsys.readouterr()
        return int(left.value.code or 0), printed.out, printed.err

    return call


def test_the_table_has_layers_totals_memory_and_what_tricks_save(shell) -> None:  # type: ignore[no-untyped-def]
    code, out, err = shell("inspect", "lenet5")
    assert (code, err) == (0, "")
    assert "parameters     61,706\nmultiply-adds  416,520 for one picture" in out
    row = next(line for line in out.splitlines() if "conv 5x5, 6 -> 16" in line)
    assert row.split() == [
        "conv",
        "conv",
        "5x5,",
        "6",
        "->",
        "16",
        "16x10x10",
        "2,416",
        "240,000",
        "█████",
        "58%",
        "14",
    ]
    assert "inference      284.5 kB: weights 246.8 kB" in out
    assert "behind" not in out
    assert "a dense layer reads all 16x5x5 values: 48,000 weights" in out


def test_a_hundred_columns_are_enough(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    monkeypatch.setattr(show, "console", lambda: Console(highlight=False, width=100))
    show.inspection(inspect_network("mobilenet_v2"))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert any("1 to 3 (3x)" in line for line in lines)
    assert any(line.startswith("A row such as (2x)") for line in lines)
    assert "138.8M instead of 1.06G" in " ".join(" ".join(lines).split())


def test_json_size_and_arguments(shell) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = shell("inspect", "mobilenet_v2", "--input", "160x96", "--arg", "width=0.5", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["input_shape"] == [3, 160, 96]
    assert told["layers"][0]["output_shape"] == [16, 80, 48]
    assert told["memory"]["batch_size"] == 32


def test_depth_and_full_choose_the_rows(shell) -> None:  # type: ignore[no-untyped-def]
    _, stages, _ = shell("inspect", "sprint_s", "--depth", 1)
    _, full, _ = shell("inspect", "sprint_s", "--full")
    assert "conv 3x3" not in stages
    assert "ReLU" not in stages
    assert full.count("ReLU") == 4
    assert "batch norm 64 channels" in full


def test_a_picture_is_written(shell, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, _, _ = shell("inspect", "lenet5", "--picture", tmp_path / "net.svg")
    assert code == 0
    assert (tmp_path / "net.svg").read_text().startswith("<svg ")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("resnet19",), "no run, network file or registered network is called 'resnet19'; nearest: resnet18"),
        (("lenet5", "--input", "big"), "--input got 'big'; expected a size such as 224, or height x width"),
        (("lenet5", "--input", "1x2x3"), "--input got '1x2x3'"),
        (("lenet5", "--input", "0"), "--input got '0'"),
        (("lenet5", "--input", "8"), "layer 'body.stage2.conv' (Conv2d, 5x5, 6 -> 16) is given 6 x 4 x 4"),
        (("lenet5", "--arg", "widht=2"), "lenet5 takes no argument 'widht'"),
        (("lenet5", "--picture", "net.png"), "'net.png'; it is an SVG, so let the name end in .svg"),
        (("lenet5", "--batch-size", "0"), "batch_size is 0; expected at least 1"),
    ],
)
def test_bad_calls_are_one_line(shell, arguments: tuple[str, ...], words: str) -> None:  # type: ignore[no-untyped-def]
    code, out, err = shell("inspect", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("share, drawn", [(1.0, "█████"), (0.5, "██▌"), (0.1, "▌"), (0.0, ""), (0.01, "")])
def test_bars_are_in_eighths(share: float, drawn: str) -> None:
    assert show.bar(share) == drawn


def test_bytes_in_words() -> None:
    assert [show.megabytes(count) for count in (1_234, 46_800_000, 3_500_000_000)] == ["1.2 kB", "46.8 MB", "3.50 GB"]
