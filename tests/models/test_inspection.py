"""Looking at a network: every registered one, by every name a user may give it, and what is said to bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from glassnet.errors import InputError, UnknownName
from glassnet.models import Network, create, names
from glassnet.models.inspection import find_subject, inspect_network
from glassnet.report.drawing import draw
from glassnet.report.layer_rows import rows

# These cost time and show nothing new.
DEEP = ("resnet34", "resnet50", "resnet101", "resnet152", "resnet32_", "resnet44_", "resnet56_", "resnet110_", "vgg13")
DEEP += ("vgg11", "vgg19", "preresnet34", "preresnet50", "preresnet101", "preresnet152", "preresnet56_")
DEEP += ("preresnet110_", "preresnet164_", "squeezenet1_0", "efficientnet_lite0")


def sweep() -> list[Any]:
    return [pytest.param(name, marks=[pytest.mark.slow] if name.startswith(DEEP) else []) for name in names()]


@pytest.mark.slow
@pytest.mark.parametrize("name", sweep())
def test_every_registered_network_is_told_drawn_and_counted_as_torch_counts(name: str) -> None:
    found = inspect_network(name, batch_size=2)
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert sum(layer["multiply_adds"] for layer in told["layers"]) == told["multiply_adds"]
    assert told["memory"]["training"] > told["memory"]["inference"] > told["memory"]["weights"] > 0
    subject = find_subject(name, {})
    with FlopCounterMode(display=False) as counter:
        subject.module.eval()(torch.empty(1, *subject.input_shape, device="meta"))
    assert told["multiply_adds"] == counter.get_total_flops() / 2
    for depth, full in ((None, False), (None, True), (1, False), (2, False)):
        top = [row for row in rows(found.trace, depth=depth, full=full) if row.level == 0]
        assert sum(row.parameters for row in top) == told["parameters"]
        assert sum(row.multiply_adds for row in top) == told["multiply_adds"]
    picture = ElementTree.fromstring(draw(found.trace, found.title))
    assert 3 < sum(element.get("class") == "side" for element in picture.iter()) < 70


def test_arguments_size_and_channels() -> None:
    found = inspect_network("mobilenet_v2", size=(160, 96), arguments={"width": 0.5, "classes": 7, "in_channels": 1})
    assert found.trace.input_shape == (1, 160, 96)
    assert found.trace.layers[-1].output_shape == (7,)
    with torch.device("meta"):
        network = create("mobilenet_v2", classes=7, in_channels=1, width=0.5)
    assert found.trace.parameters == sum(parameter.numel() for parameter in network.parameters())


def test_a_file_and_a_run_are_looked_at_as_they_are(tmp_path: Path) -> None:
    Network.create("lenet5", ["a", "b", "c"]).save(tmp_path / "network.safetensors")
    for target in (tmp_path, tmp_path / "network.safetensors"):
        found = inspect_network(target)
        assert (found.title, found.trace.layers[-1].output_shape) == ("LeNet-5", (3,))
    with pytest.raises(InputError, match="is a file that says how it was built; arguments are for names"):
        inspect_network(tmp_path, arguments={"width": 0.5})


def test_json_has_what_is_promised() -> None:
    told = inspect_network("lenet5").to_dict()
    assert {"parameters", "multiply_adds", "memory", "layers"} <= told.keys()
    assert told["layers"][0] == {
        "name": "body.stage1.conv",
        "kind": "Conv2d",
        "setting": "5x5, 1 -> 6, padding 2",
        "inputs": ["input"],
        "output_shape": [6, 28, 28],
        "parameters": 156,
        "multiply_adds": 117_600,
        "memory": 4 * 6 * 28 * 28,
        "receptive_field": [5, 5],
        "stride": [1, 1],
        "start": [0.0, 0.0],
    }


def test_a_picture_too_small_is_refused_with_the_layer_that_cannot_take_it() -> None:
    with pytest.raises(InputError, match=r"layer 'body.stage2.conv' .* is given 6 x 4 x 4, and a kernel of 5"):
        inspect_network("lenet5", size=(8, 8))


def test_a_batch_too_small_for_batch_norms_is_refused() -> None:
    with pytest.raises(InputError, match=r"batch_size is 1: .* choose a larger one"):
        inspect_network("sprint_s", batch_size=1)
    with pytest.raises(InputError, match="batch_size is 0; expected at least 1"):
        inspect_network("lenet5", batch_size=0)


def test_an_unknown_network_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="resnet18"):
        inspect_network("resnet19")
