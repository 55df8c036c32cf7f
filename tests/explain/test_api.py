"""The plain functions: methods with what they take, several pictures, and the network left as it was."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import glassnet
from glassnet.errors import InputError, PictureError, UnknownName
from glassnet.explain.api import explain_picture, explain_pictures, questions
from glassnet.explain.explanation import Explanation
from glassnet.models import Network


def test_the_public_names_stay_functions_after_the_folder_was_imported() -> None:
    import_module("glassnet.explain.case")
    for name in ("explain_picture", "look", "patches", "filters"):
        assert callable(getattr(glassnet, name))
    assert glassnet.Explanation is Explanation


def test_one_method_gives_one_explanation_and_a_list_a_list(small_network: Network, picture: np.ndarray) -> None:
    one = explain_picture(small_network, picture, method="gradcam")
    assert one.method == "gradcam"
    assert one.label in small_network.classes
    several = explain_picture(small_network, picture, method=["gradient", "gradcam"], label="owl")
    assert [found.method for found in several] == ["gradient", "gradcam"]
    assert {found.label for found in several} == {"owl"}


def test_the_network_and_torchs_state_stay_as_they_were(small_network: Network, picture: np.ndarray) -> None:
    before = {name: tensor.clone() for name, tensor in small_network.module.state_dict().items()}
    state, mode = torch.get_rng_state(), small_network.module.training
    explain_picture(small_network, picture, method=["gradcam", "deconvnet"])
    assert torch.equal(torch.get_rng_state(), state)
    assert small_network.module.training == mode
    assert all(torch.equal(before[name], tensor) for name, tensor in small_network.module.state_dict().items())


def test_a_setting_goes_to_every_method_that_takes_it_or_to_one() -> None:
    asked = questions(["occlusion", "gradcam"], ["auto"], {"stride": 4}, 3)
    assert [dict(question.settings) for question in asked] == [{"seed": 3, "stride": 4}, {}]
    asked = questions(["occlusion", "rise"], ["auto"], {"occlusion.seed": 1}, 3)
    assert [question.settings["seed"] for question in asked] == [1, 3]
    assert questions(["gradcam", "deconvnet"], ["stage2"], {}, 0)[1].settings["layer"] == "stage2"
    assert "layer" not in questions(["gradcam"], ["auto"], {}, 0)[0].settings


def test_several_layers_are_asked_one_by_one_and_stages_are_all_of_them(
    small_network: Network, picture: np.ndarray
) -> None:
    asked = questions(["gradcam", "occlusion"], ["stage1", "stage2"], {}, 0)
    assert [question.settings.get("layer") for question in asked] == ["stage1", "stage2", None]
    found = explain_picture(small_network, picture, method=["features"], layer="stages")
    names = [str(one.layer).removeprefix("body.").partition(".")[0] for one in found]
    assert names == list(dict.fromkeys(names))
    assert {"stage1", "stage2", "stage3"} <= set(names)


def test_the_study_looks_at_all_classes_at_once(small_network: Network, picture: np.ndarray) -> None:
    found = explain_picture(
        small_network, picture, method=["study"], label=["cat", "owl"], layer="stage2", size=12, stride=10
    )
    assert [one.kind for one in found] == ["map", "map", "labels", "map"]
    assert [one.label for one in found[:2]] == ["cat", "owl"]
    assert set(found[2].settings["names"].values()) <= set(small_network.classes)
    with pytest.raises(InputError, match="study takes no setting 'labels'"):
        explain_picture(small_network, picture, method=["study"], labels=["cat"])


@pytest.mark.parametrize(
    "names, layer, settings, words",
    [
        (["gradcma"], ["auto"], {}, "no method is called 'gradcma'; nearest: gradcam"),
        ([], ["auto"], {}, "no method is given"),
        (["occlusion"], ["auto"], {"strid": 4}, "occlusion takes no setting 'strid'; .*did you mean 'stride'"),
        (["occlusion"], ["auto"], {"rise.seed": 4}, "'rise.seed' is for 'rise', which is not asked for"),
        (["occlusion"], "stage2", {}, "occlusion takes no setting 'layer'"),
    ],
)
def test_what_no_method_takes_is_said(names: list[str], layer: str, settings: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        questions(names, [layer], settings, 0)


def test_a_bad_picture_among_several_is_a_row_with_its_error(
    small_network: Network, picture: np.ndarray, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.fromarray(picture).save(good)
    bad.write_bytes(b"hello")
    rows = list(explain_pictures(small_network, [good, bad], ["gradcam"], label=["cat", "dog"]))
    assert [found.label for found in rows[0].explanations] == ["cat", "dog"]
    assert rows[0].error is None
    assert rows[1].explanations == ()
    assert "no picture format" in str(rows[1].error)
    with pytest.raises(PictureError, match="no picture format"):
        explain_picture(small_network, bad)


def test_an_unknown_class_or_layer_has_its_nearest_names(small_network: Network, picture: np.ndarray) -> None:
    with pytest.raises(UnknownName, match="no class is called 'dgo'; nearest: dog"):
        explain_picture(small_network, picture, label="dgo")
    with pytest.raises(UnknownName, match=r"no layer is called 'satge1'; nearest: .*stage1"):
        explain_picture(small_network, picture, layer="satge1")
