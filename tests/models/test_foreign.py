"""Foreign weights: with the same numbers our networks answer what torchvision's and timm's did."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassnet.models.layouts import layout
from glassnet.models.registry import Classifier, create
from glassnet.preprocess import IMAGENET_MEAN, IMAGENET_STD


def _load_seeded() -> ModuleType:
    path = Path(__file__).parents[1] / "golden" / "seeded.py"
    spec = importlib.util.spec_from_file_location("seeded_for_tests", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["seeded_for_tests"] = module
    spec.loader.exec_module(module)
    return module


seeded = _load_seeded()
CASES = [pytest.param(case, id=case.theirs, marks=[pytest.mark.slow] if case.slow else []) for case in seeded.CASES]


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    found: dict[str, Any] = seeded.golden()
    return found


@pytest.fixture(scope="module")
def images() -> Tensor:
    data = pytest.importorskip("skimage.data", reason="scikit-image holds the photographs")
    return torch.from_numpy(seeded.pictures({name: getattr(data, name)() for name in seeded.PHOTOS}))


def filled(case: Any, **arguments: object) -> tuple[Classifier, dict[str, tuple[int, ...]]]:
    """Return our network with the numbers that theirs was recorded with, and the shapes of their tensors."""
    chosen = layout(case.ours, case.layout)
    with torch.device("meta"):
        network = create(case.ours, classes=seeded.CLASSES, **{**chosen.arguments, **arguments})
    shapes = {name: tuple(tensor.shape) for name, tensor in chosen.to_theirs(network).items()}
    theirs = {name: torch.from_numpy(np.array(seeded.tensor(name, shape, case))) for name, shape in shapes.items()}
    ours = chosen.to_ours(network, theirs, case.theirs)
    network.load_state_dict(ours, assign=True)
    return network.eval(), shapes


def watched(seen: dict[str, Any], name: str) -> Callable[..., None]:
    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        seen[name] = seeded.summary(output.numpy())

    return keep


def asking(head: nn.Module, said: dict[str, Tensor], name: str) -> Callable[..., None]:
    def ask(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        said[name] = head(output)

    return ask


def as_theirs_sees_them(images: Tensor, case: Any) -> Tensor:
    """torchvision's GoogLeNet was recorded with `transform_input`: it turns ImageNet's statistics into ours, 0.5."""
    if case.theirs != "googlenet":
        return images
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return ((images * std + mean) - 0.5) / 0.5


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_stages_are_theirs(case: Any, golden: dict[str, Any], images: Tensor) -> None:
    recorded = golden[case.theirs]
    network, shapes = filled(case)
    assert (len(shapes), seeded.shapes_key(shapes)) == (recorded["tensors"], recorded["names"])
    seen: dict[str, Any] = {}
    for name in case.stages:
        network.get_submodule(name).register_forward_hook(watched(seen, name))
    said: dict[str, Tensor] = {}
    for name in case.further:
        stage = network.get_submodule(f"body.{name.rpartition('.')[2]}")
        stage.register_forward_hook(asking(network.get_submodule(name), said, name))
    with torch.no_grad():
        logits = network(as_theirs_sees_them(images, case))
    for name, expected in recorded["stages"].items():
        scale = np.abs(expected).max()
        assert np.abs(np.array(seen[name]) - expected).max() <= 1e-5 * max(1.0, scale), name
    for name, expected in recorded["further"].items():
        assert np.abs(said[name].numpy() - expected).max() <= 1e-4, name
    assert np.abs(logits.numpy() - recorded["logits"]).max() <= 1e-4
    assert np.ptp(recorded["logits"], axis=0).max() > 0.05  # the pictures make a difference


@pytest.mark.parametrize("wrong", [{"epsilon": 1e-3}, {"padding": "same"}], ids=str)
def test_the_comparison_sees_another_eps_and_another_padding(
    wrong: dict[str, object], golden: dict[str, Any], images: Tensor
) -> None:
    (case,) = (case for case in seeded.CASES if case.theirs == "timm/efficientnet_lite0")
    network, _ = filled(case, **wrong)
    with torch.no_grad():
        difference = np.abs(network(images).numpy() - golden[case.theirs]["logits"]).max()
    assert difference > 1e-3


def test_the_comparison_sees_a_missing_input_transformation(golden: dict[str, Any], images: Tensor) -> None:
    (case,) = (case for case in seeded.CASES if case.theirs == "googlenet")
    network, _ = filled(case)
    with torch.no_grad():
        difference = np.abs(network(images).numpy() - golden[case.theirs]["logits"]).max()
    assert difference > 1e-2
