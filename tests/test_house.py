"""The house rules that a machine can hold: imports run one way, the public surface is a fact, `--help` is quick."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import glassnet

SOURCE = Path(glassnet.__file__).parent
# A room may import from itself and from rooms before it.
ORDER = [
    "errors",
    "files",
    "download",
    "boxes",
    "preprocess",
    "placement",
    "card",
    "nn",
    "models",
    "data",
    "evaluation",
    "training",
    "explain",
    "detection",
    "report",
    "comparison",
    "tasks",
    "finding",
    "verbs",
]
ORDER += ["show", "cli"]
# The reference stands beside the house: it imports only NumPy, and only tests and teaching material import it.
ALONE = "reference"
MODULES = sorted(path for path in SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    """Return the top-level module or folder that `path` belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Return the rooms of glassnet that the file imports, at the top or inside functions."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "glassnet":
            parts = node.module.split(".")
            rooms |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("glassnet.")}
        elif isinstance(node, ast.ImportFrom) and node.level:
            pytest.fail(f"{path}: relative import; write the whole name so that the direction can be seen")
    return rooms & {*ORDER, ALONE}


def foreign_imports(path: Path) -> set[str]:
    """Return the names of all modules outside glassnet that the file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.split(".")[0] != "glassnet"}


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) in ORDER], ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_run_one_way(path: Path) -> None:
    allowed = set(ORDER[: ORDER.index(room(path)) + 1])
    upward = imported_rooms(path) - allowed
    assert not upward, f"{path.relative_to(SOURCE)} imports upward: {sorted(upward)}"


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) == ALONE], ids=lambda p: p.name)
def test_the_reference_imports_only_numpy(path: Path) -> None:
    assert imported_rooms(path) <= {ALONE}
    names_of_types = {"__future__", "collections.abc", "typing"}
    assert foreign_imports(path) <= {"numpy", "numpy.typing", *names_of_types}


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) != ALONE], ids=lambda p: str(p.relative_to(SOURCE)))
def test_nothing_here_imports_the_reference(path: Path) -> None:
    assert ALONE not in imported_rooms(path)


def test_every_module_has_a_room() -> None:
    rooms = {room(path) for path in MODULES} - {"__init__", "__main__"}
    assert rooms <= {*ORDER, ALONE}, f"rooms without a place in the order: {sorted(rooms - set(ORDER))}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_file_is_one_idea(path: Path) -> None:
    lines = path.read_text().count("\n")
    assert lines <= 500, f"{path.name} has {lines} lines: two ideas live in it"


def test_no_pickle_is_read() -> None:
    for path in MODULES:
        text = path.read_text()
        assert "import pickle" not in text, path
        assert "torch.load(" not in text or "weights_only=True" in text, path
        assert "allow_pickle=True" not in text, path


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_glassnet_and_its_command_line_loads_neither_torch_nor_numpy() -> None:
    loaded = run_python(
        "import sys, glassnet, glassnet.cli; print([m for m in ('torch', 'numpy', 'PIL') if m in sys.modules])"
    )
    assert loaded.strip() == "[]"


def test_help_answers_quickly() -> None:
    seconds = []
    for _ in range(5):  # the best of five, in processor time: the machine may be busy, the program may not be slow
        before = os.times()
        subprocess.run([sys.executable, "-m", "glassnet", "--help"], check=True, capture_output=True)
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(seconds) < 0.4, f"glassnet --help took {min(seconds):.2f} s of processor time"


def test_the_public_surface() -> None:
    assert sorted(glassnet.__all__) == [
        "Detections",
        "Detector",
        "Explanation",
        "GlassnetError",
        "Network",
        "Prediction",
        "Preprocess",
        "Recipe",
        "Run",
        "check_data",
        "compare",
        "convert_data",
        "detect",
        "evaluate",
        "explain_picture",
        "filters",
        "find_learning_rate",
        "inspect",
        "load",
        "look",
        "patches",
        "predict",
        "resume",
        "train",
        "write_report",
    ]
    for name in glassnet.__all__:
        assert getattr(glassnet, name).__doc__, f"glassnet.{name} has no docstring"


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        _ = glassnet.trian  # type: ignore[attr-defined]
