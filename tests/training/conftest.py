"""A small network (`tiny`), small data, and one thread: what these tests measure is exactness, not speed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from glassnet.models import registry

SCRIPT = Path(__file__).with_name("tiny.py")


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[ModuleType]:
    """The module tests/training/tiny.py; importing it registers the network "tiny", for the tests here only."""
    spec = importlib.util.spec_from_file_location("tiny_for_tests", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_for_tests"] = module
    spec.loader.exec_module(module)
    yield module
    del registry._ENTRIES["tiny"]


@pytest.fixture(scope="module")
def small_data(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .npz file of 320 + 40 small grey pictures in 10 classes."""
    path: Path = tmp_path_factory.mktemp("data") / "small.npz"
    tiny.write_data(path)
    return path


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums over threads in another order have other last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
