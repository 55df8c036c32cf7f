"""CAM, Grad-CAM, Grad-CAM++, Score-CAM: by hand, against slow loops, against each other, and where CAM is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from glassnet.errors import InputError, UnknownName
from glassnet.explain.case import Case
from glassnet.explain.class_maps import cam, cam_source, gradcam, gradcam_plus_plus, last_stage, scorecam
from glassnet.explain.inside import Inside
from glassnet.explain.placing import spread
from glassnet.models import Network


@pytest.fixture(scope="module")
def case(small_network: Network, picture: np.ndarray) -> Case:
    return Case.of(small_network, picture, label="owl")


@pytest.fixture(scope="module")
def lenet(picture: np.ndarray) -> Case:
    torch.manual_seed(2)
    return Case.of(Network.create("lenet5", ["a", "b", "c"]), picture)


class Two(nn.Module):
    """Two maps, the picture and its negative, rectified, averaged and read by weights 3 and 5."""

    input_size = (1, 2, 2)

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.head = nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(), nn.Linear(2, 1)
        self.conv.weight.data = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
        self.head.weight.data = torch.tensor([[3.0, -5.0]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.conv(x)).mean((2, 3)))


def case_of(module: nn.Module, images: torch.Tensor, template: Case) -> Case:
    """A case of a bare module: what class maps read of a case is there, the rest is another network's."""
    inside = Inside(module, tuple(images.shape[1:]))
    case = Case(network=template.network, inside=inside, images=images, pixels=template.pixels, target=0)
    vars(case)["probabilities"] = torch.ones(1)
    return case


def test_by_hand(case: Case) -> None:
    images = torch.tensor([[4.0, -2.0], [0.0, -6.0]]).view(1, 1, 2, 2)
    mine = case_of(Two(), images, case)
    # maps relu(x) = [4 0; 0 0] and relu(-x) = [0 2; 0 6]; d logit / d map = 3 / 4 and -5 / 4 at each position
    np.testing.assert_allclose(cam(mine).array, [[12, -10], [0, -30]])
    np.testing.assert_allclose(gradcam(mine).array, [[3, 0], [0, 0]])
    # a = g^2 / (2 g^2 + g^3 S) = 1 / (2 + g S): 1 / (2 + 3 / 4 * 4) = 1 / 5; w = 4 * 3 / 4 / 5 = 0.6; the other's is 0
    np.testing.assert_allclose(gradcam_plus_plus(mine).array, [[2.4, 0], [0, 0]], rtol=1e-6)


def test_gradcam_is_cam_where_maps_are_averaged(case: Case) -> None:
    theirs, ours = cam(case), gradcam(case)
    assert theirs.layer == ours.layer == "body.stage3.2.act"
    assert ours.array.max() > 0
    np.testing.assert_allclose(ours.array * ours.array.size, np.maximum(theirs.array, 0), rtol=1e-4, atol=1e-4)


def test_cams_mean_and_the_bias_are_the_logit(case: Case) -> None:
    bias = case.network.module.head.bias[case.target].item()
    assert cam(case).array.mean() + bias == pytest.approx(float(case.logits[case.target]), abs=1e-4)


@pytest.mark.parametrize("name", ["nin_cifar", "squeezenet1_1"])
def test_score_maps_are_their_own_cam(name: str, picture: np.ndarray) -> None:
    torch.manual_seed(0)
    case = Case.of(Network.create(name, ["a", "b", "c"]), picture)
    found = cam(case)
    assert found.array.mean() == pytest.approx(float(case.logits[case.target]), rel=1e-3)
    ours = gradcam(case)
    np.testing.assert_allclose(ours.array * ours.array.size, np.maximum(found.array, 0), rtol=1e-3, atol=1e-6)


def test_a_score_map_network_with_a_fresh_head_is_read_by_it(picture: np.ndarray) -> None:
    torch.manual_seed(0)
    network = Network.create("nin_cifar", ["a", "b", "c"])
    network.module.replace_head(3)
    case = Case.of(network, picture)
    bias = network.module.head.bias[case.target].item()
    assert cam(case).array.mean() + bias == pytest.approx(float(case.logits[case.target]), abs=1e-4)


def by_hooks(case: Case, layer: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps and slopes of a module's output, by autograd on the network itself."""
    seen: list[torch.Tensor] = []
    module = case.network.module.eval()
    handle = module.get_submodule(layer).register_forward_hook(lambda _m, _i, out: seen.append(out))
    logits = module(case.images)
    handle.remove()
    (slopes,) = torch.autograd.grad(logits[0, case.target], seen[0])
    return seen[0].detach()[0], slopes[0]


@pytest.mark.parametrize("layer", ["body.stage1.1", "body.stage2.0"])
def test_any_layer_against_the_formulas_in_numpy(case: Case, layer: str) -> None:
    maps, slopes = (tensor.double().numpy() for tensor in by_hooks(case, layer))
    plain = np.zeros(maps.shape[1:])
    plus = np.zeros(maps.shape[1:])
    for a, g in zip(maps, slopes, strict=True):
        plain += g.mean() * a
        alpha = np.divide(g**2, 2 * g**2 + g**3 * a.sum(), out=np.zeros_like(g), where=g != 0)
        plus += (alpha * np.maximum(g, 0)).sum() * a
    ours = gradcam(case, layer=layer)
    np.testing.assert_allclose(ours.array, np.maximum(plain, 0), rtol=1e-3, atol=1e-5 * abs(plain).max())
    assert ours.extent == case.extent_of(case.inside.layer(layer).name)
    np.testing.assert_allclose(
        gradcam_plus_plus(case, layer=layer).array, np.maximum(plus, 0), rtol=1e-2, atol=1e-3 * abs(plus).max()
    )


def test_scorecam_is_the_slow_loop(lenet: Case) -> None:
    layer = lenet.inside.layer("stage2.act").name
    maps = lenet.inside.play(lenet.images, keep=[layer]).kept[layer][0]
    module = lenet.network.module.eval()
    gains = []
    with torch.no_grad():
        empty = module(torch.zeros_like(lenet.images))[0, lenet.target]
        for one in maps:
            wide = torch.from_numpy(spread(one.numpy(), lenet.extent_of(layer), lenet.size))
            mask = (wide - wide.min()) / (wide.max() - wide.min()) if wide.max() > wide.min() else 0 * wide
            gains.append(module(lenet.images * mask)[0, lenet.target] - empty)
    weights = torch.stack(gains).softmax(0)
    expected = sum(weight * one for weight, one in zip(weights, maps, strict=True)).clamp_min(0)
    found = scorecam(lenet)
    assert found.layer == layer
    np.testing.assert_allclose(found.array, expected.numpy(), rtol=1e-3, atol=1e-5)
    few = scorecam(lenet, channels=2)
    assert "of 16 maps the 2 strongest were tried" in few.note
    assert few.settings == {"channels": 2}
    assert not np.allclose(few.array, found.array)


def test_the_last_stage_is_the_end_of_the_last_convolution(lenet: Case, awkward: nn.Module) -> None:
    assert last_stage(lenet.inside)[0].name == "body.stage2.act"  # not the pooling behind it
    assert "chosen: the end of the last convolutional stage" in gradcam(lenet).note
    assert last_stage(Inside(awkward, (3, 16, 16)))[0].name == "relu"
    assert gradcam(lenet, layer="stage1").note == ""


class Pooled(Two):
    """As `Two`, but the greatest value is read."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.conv(x)).amax((2, 3)))


class Some(Two):
    """As `Two`, but an average pooling leaves the last row and column out."""

    input_size = (1, 3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.nn.functional.avg_pool2d(self.act(self.conv(x)), 2).flatten(1))


class Rows(Two):
    """As `Two`, but the mean is over rows only: not of all positions."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.conv(x)).mean(2)[:, :, 0])


def test_cam_is_refused_where_it_does_not_fit(lenet: Case, case: Case) -> None:
    with pytest.raises(
        InputError, match=r"CAM needs .* here head reads dense2.act \(ReLU\)\. gradcam, gradcam\+\+ and"
    ):
        cam(lenet)
    images = torch.ones(1, 1, 2, 2)
    with pytest.raises(InputError, match=r"here head reads amax"):
        cam(case_of(Pooled(), images, case))
    with pytest.raises(InputError, match=r"CAM needs a network whose last maps are averaged"):
        cam_source(Inside(Rows(), (1, 2, 2)))
    corner = torch.arange(9.0).view(1, 1, 3, 3)
    with pytest.raises(InputError, match=r"here what is read is not the mean of act over all positions"):
        cam(case_of(Some(), corner, case))
    sixteen = Case.of(Network.create("lenet5_1998", ["a", "b"]), np.zeros((32, 32), np.uint8))
    with pytest.raises(InputError, match=r"here the last layer is head \(RadialBasisOutput\)"):
        cam(sixteen)


def test_bad_layers_and_settings(case: Case) -> None:
    with pytest.raises(InputError, match=r"layer 'pool' gives 64 numbers without positions; choose one before"):
        gradcam(case, layer="pool")
    with pytest.raises(UnknownName, match=r"no layer is called 'stage33'; nearest: stage3"):
        gradcam_plus_plus(case, layer="stage33")
    with pytest.raises(InputError, match=r"channels is 0; expected at least 1"):
        scorecam(case, channels=0)
