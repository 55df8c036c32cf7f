"""Shared fixtures: where real data lies beside the project, and a cache folder of each test run's own."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real data: `$GLASSNET_DATA`, else `../shared/data` beside the repository; else a skip."""
    folder = Path(os.environ.get("GLASSNET_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set GLASSNET_DATA to its folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache out of the tests, and the tests out of the user's cache."""
    before = os.environ.get("GLASSNET_CACHE")
    os.environ["GLASSNET_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["GLASSNET_CACHE"]
    else:
        os.environ["GLASSNET_CACHE"] = before


@pytest.fixture(autouse=True)
def _memory_given_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """Return freed memory to the system after each slow test: the product keeps it, and 44 networks of it add up."""
    yield
    if request.node.get_closest_marker("slow") and sys.platform.startswith("linux"):
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


@pytest.fixture(scope="session")
def without_compiler() -> Callable[..., None]:
    """Call the command line with the words given, in a new process; it must not import torch's compiler (1.5 s)."""

    def call(*words: str) -> None:
        code = (
            f"import sys; from glassnet import cli; sys.argv = ['glassnet', *{words!r}]\n"
            "try:\n    cli.main()\nexcept SystemExit as left:\n    assert not left.code\n"
            "assert 'torch._dynamo' not in sys.modules"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return call
