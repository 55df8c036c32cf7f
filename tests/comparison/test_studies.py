"""Every study's networks can be built, differ in what is asked and in nothing else, and are narrow."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from glassnet.comparison import studies
from glassnet.comparison.options import Option
from glassnet.errors import UnknownName
from glassnet.models import registry
from glassnet.nn.trace import Trace, trace
from glassnet.training.recipes import RECIPES

SHAPE = (1, 28, 28)
NAMES = ["depth", "width", "batch", "lrn", "pooling", "head", "shortcut", "padding"]


def traced(option: Option) -> Trace:
    assert option.network is not None
    with torch.device("meta"):
        network = registry.create(option.network, classes=10, in_channels=1, **option.arguments)
    return trace(network, SHAPE)


@pytest.fixture(scope="module")
def traces() -> dict[str, dict[str, Trace]]:
    return {name: {each.name: traced(each) for each in studies.load(name).options} for name in NAMES}


def test_the_studies() -> None:
    assert studies.names() == NAMES
    with pytest.raises(UnknownName, match="no study is called 'dept'; nearest: depth"):
        studies.load("dept")


@pytest.mark.parametrize("name", NAMES)
def test_a_study_says_its_question_and_the_literature(name: str) -> None:
    study = studies.load(name)
    assert study.question.endswith("?")
    assert "Literature:" in study.about
    assert "Answer:" in study.about
    known = {option.name for option in study.options}
    assert len(known) == len(study.options) >= 4
    assert {each for pair in study.pairs for each in pair} <= known
    for option in study.options:
        chosen = RECIPES.find(str(option.recipe), **option.overrides)
        assert (chosen.select, chosen.validate_every, chosen.precision) == ("last", 0.0, "fp32")


def test_counts_by_hand(traces: dict[str, dict[str, Trace]]) -> None:
    one = traces["depth"]["1 convolution"]  # 9*8 weights at 14*14 places, 8*10 behind; 2*8 of batch norm, 10 biases
    assert one.multiply_adds == 72 * 196 + 80
    assert one.parameters == 72 + 16 + 90
    step = 9 * 16 * 16  # each further convolution at 7*7 places
    depths = [traces["depth"][f"{n} convolutions"] for n in (2, 3, 5, 9)]
    assert [b.multiply_adds - a.multiply_adds for a, b in pairwise(depths)] == [step * 49 * n for n in (1, 2, 4)]


def test_doubled_width_is_four_times_the_work(traces: dict[str, dict[str, Trace]]) -> None:
    costs = [each.multiply_adds for each in traces["width"].values()]
    assert all(3.4 < b / a < 4 for a, b in pairwise(costs))


def test_only_the_batch_changes_in_batch(traces: dict[str, dict[str, Trace]]) -> None:
    assert len({each.parameters for each in traces["batch"].values()}) == 1
    rates = [o.overrides["learning_rate"] / o.overrides["batch_size"] for o in studies.load("batch").options]
    assert rates == pytest.approx([0.1 / 64] * 4)


def test_normalisation_changes_no_convolution(traces: dict[str, dict[str, Trace]]) -> None:
    assert len({each.multiply_adds for each in traces["lrn"].values()}) == 1
    assert traces["lrn"]["batch norm"].parameters - traces["lrn"]["none"].parameters == 8 + 16 + 16  # 2 for a bias
    assert sum("LocalResponse" in layer.kind or "LRN" in layer.kind for layer in traces["lrn"]["LRN"].layers) == 3


def test_pooling_and_heads(traces: dict[str, dict[str, Trace]]) -> None:
    pooled = traces["pooling"]
    assert len({pooled[name].parameters for name in ("max 2x2", "average 2x2", "stride in the convolution")}) == 1
    assert pooled["stride in the convolution"].multiply_adds < 0.35 * pooled["max 2x2"].multiply_adds
    heads = traces["head"]
    assert heads["2 dense layers"].parameters - heads["1 dense layer"].parameters == 785 * 64 + 650 - 7850
    assert heads["1x1 and average"].parameters < heads["1 dense layer"].parameters


def test_shortcuts_add_nothing(traces: dict[str, dict[str, Trace]]) -> None:
    found = traces["shortcut"]
    for layers in (20, 56):
        plain, residual = found[f"plain {layers}"], found[f"residual {layers}"]
        assert (plain.parameters, plain.multiply_adds) == (residual.parameters, residual.multiply_adds)
        weighted = [layer for layer in plain.layers if layer.multiply_adds]
        assert len(weighted) == layers


def test_valid_padding_is_the_cheap_one(traces: dict[str, dict[str, Trace]]) -> None:
    found = {name: each.multiply_adds for name, each in traces["padding"].items()}
    assert found["zeros"] == found["replicate"] == found["reflect"] > found["valid"]


@pytest.mark.parametrize("name", NAMES)
def test_a_study_fits_its_time(name: str, traces: dict[str, dict[str, Trace]]) -> None:
    """3 seeds x 5 epochs x 8,500 pictures, three passes' worth each; one core did 9 to 12 G multiply-adds/s here."""
    work = sum(each.multiply_adds for each in traces[name].values()) * 3 * 5 * 8500 * 3
    assert work / 9e9 < 15 * 60
