"""Sprint networks: the whitened stem does what it says, and the networks keep the registry's promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.errors import InputError
from glassnet.models import sprint
from glassnet.models.registry import create, describe, names
from glassnet.nn.fuse import fold_batch_norm

NAMES = names("sprint_*")


@pytest.fixture
def pictures() -> Tensor:
    """64 smooth random grey pictures (64, 1, 28, 28), whose neighbouring pixels are correlated as in real ones."""
    noise = torch.rand(64, 1, 7, 7, generator=torch.Generator().manual_seed(0))
    return F.interpolate(noise, size=28, mode="bilinear")


def whiten(network: nn.Module) -> nn.Conv2d:
    layer = network.get_submodule("body.stem.whiten")
    assert isinstance(layer, nn.Conv2d)
    return layer


def test_axes_of_pictures_made_of_one_pattern() -> None:
    """Every patch is t * (1, 1, 1, 1) / 2 with t = 2, and the second moment along that axis is 4."""
    axes = sprint.principal_axes(torch.ones(3, 1, 4, 4)).flatten(1)  # (4, 4)
    strongest = axes[-1]
    np.testing.assert_allclose(strongest.abs(), torch.full((4,), 0.5 / 4**0.5), rtol=1e-3)
    assert torch.all(axes[:-1].norm(dim=1) > 40)  # nothing varies there: 1 / sqrt(5e-4) is as far as it goes


def test_whitened_patches_are_uncorrelated_with_unit_variance(pictures: Tensor) -> None:
    responses = F.conv2d(pictures, sprint.principal_axes(pictures), stride=2)  # (N, 4, 14, 14)
    flat = responses.transpose(0, 1).flatten(1).double().numpy()
    moments = flat @ flat.T / flat.shape[1]
    np.testing.assert_allclose(moments, np.diag(np.diag(moments)), atol=1e-3)
    assert moments[-1, -1] == pytest.approx(1.0, abs=1e-2)  # the strong axes; weak ones are damped by the constant
    assert np.diag(moments).max() < 1.01


def test_axes_agree_with_numpy(pictures: Tensor) -> None:
    array = pictures.numpy()[:, 0]  # (N, 28, 28)
    patches = array.reshape(-1, 14, 2, 14, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 4).astype(np.float64)
    variances = np.linalg.eigvalsh(patches.T @ patches / len(patches))
    lengths = sprint.principal_axes(pictures).flatten(1).norm(dim=1)
    np.testing.assert_allclose(lengths, 1 / np.sqrt(variances + 5e-4), rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_stem_holds_every_axis_and_its_negative(name: str, pictures: Tensor) -> None:
    network = create(name, classes=10, in_channels=1)
    before = whiten(network).weight.clone()
    network.initialise_from(pictures)  # type: ignore[operator]
    weight = whiten(network).weight
    assert not torch.equal(weight, before)
    assert torch.equal(weight[4:], -weight[:4])
    torch.testing.assert_close(weight[:4], sprint.principal_axes(pictures))


@pytest.mark.parametrize("name", NAMES)
def test_stem_is_saved_but_never_trained(name: str, pictures: Tensor) -> None:
    network = create(name, classes=10, in_channels=1)
    network.initialise_from(pictures)  # type: ignore[operator]
    network(pictures).sum().backward()
    learnt = {key for key, parameter in network.named_parameters() if parameter.grad is not None}
    assert set(dict(network.named_parameters())) - learnt == {"body.stem.whiten.weight"}
    assert "body.stem.whiten.weight" in network.state_dict()


@pytest.mark.parametrize("shape", [(0, 1, 28, 28), (4, 3, 28, 28), (4, 28, 28)])
def test_initialise_from_the_wrong_pictures(shape: tuple[int, ...]) -> None:
    network = create("sprint_s", classes=10, in_channels=1)
    with pytest.raises(InputError, match=r"expected \(N >= 1, 1, H, W\)"):
        network.initialise_from(torch.zeros(shape))  # type: ignore[operator]


def test_parameters_by_hand() -> None:
    """32 in the stem; 8*9*32, 32*9*64, 64*9*64 in convolutions; 2 per normalised channel; 64*10 + 10 in the head."""
    convolutions = 8 * 9 * 32 + 32 * 9 * 64 + 64 * 9 * 64
    assert describe("sprint_s").parameters == 32 + convolutions + 2 * (32 + 64 + 64) + 650 == 58_602


def test_parameters_of_the_medium_one_by_hand() -> None:
    """The stem, three stages of 64, 128, 128, and a residual convolution of 64 and one of 128 channels."""
    convolutions = 9 * (8 * 64 + 64 * 64 + 64 * 128 + 128 * 128 + 128 * 128)
    assert describe("sprint_m").parameters == 32 + convolutions + 2 * (64 + 64 + 128 + 128 + 128) + 1290


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels, size", [(1, 28), (3, 32), (2, 21)])
def test_other_channels_and_sizes(name: str, channels: int, size: int) -> None:
    network = create(name, classes=7, in_channels=channels).eval()
    images = torch.rand(5, channels, size, size)
    network.initialise_from(images)  # type: ignore[operator]
    assert network(images).shape == (5, 7)


@pytest.mark.parametrize("name", NAMES)
def test_folded_network_gives_the_same_logits(name: str, pictures: Tensor) -> None:
    torch.manual_seed(0)
    network = create(name, classes=10, in_channels=1)
    network.initialise_from(pictures)  # type: ignore[operator]
    network(pictures)  # statistics that are not those of a fresh batch norm
    network.eval()
    torch.testing.assert_close(fold_batch_norm(network)(pictures), network(pictures), rtol=1e-4, atol=1e-4)


def test_residual_adds_to_what_came_in() -> None:
    block = sprint.Residual(8).eval()
    features = torch.rand(2, 8, 5, 5)
    nn.init.zeros_(block.residual.norm.weight)
    assert torch.equal(block(features), features)
    nn.init.constant_(block.residual.norm.bias, 2.0)
    torch.testing.assert_close(block(features), features + 2.0)
