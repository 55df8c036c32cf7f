"""Inversion: what can be recovered is, the reported error is the true one, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from glassnet.errors import InputError, UnknownName
from glassnet.explain.case import Case
from glassnet.explain.choose import stages
from glassnet.explain.inside import Inside
from glassnet.explain.inversion import inversion, invert, pixels_of, strip
from glassnet.explain.methods import METHODS
from glassnet.models import Network, names
from glassnet.preprocess import Preprocess

PLAIN = Preprocess(height=16, width=12, channels=3, crop=1.0, mean=(0.5,) * 3, std=(0.5,) * 3)


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """Two smooth pictures (2, 3, 16, 12), the second brighter, as `PLAIN` makes them: between -1 and 1."""
    rows, columns = np.mgrid[0:16, 0:12]
    one = 30 + np.stack([rows * 9, columns * 13, (rows + columns) * 5], 2)
    pixels = np.stack([one, 255 - one // 2]).astype(np.uint8)
    return PLAIN.finish(torch.from_numpy(pixels))


def orthogonal() -> Inside:
    """A convolution of 2x2 blocks whose filters are square to each other: it loses nothing, and turns everything."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 12, 2, stride=2, bias=False)
    nn.init.orthogonal_(convolution.weight)
    return Inside(nn.Sequential(convolution, nn.Flatten(), nn.Linear(12 * 48, 2)), (3, 16, 12))


# Fourier coefficients reach fine details and colours last: they are the small ones of natural pictures.
@pytest.mark.parametrize("parametrisation, most", [("fourier", 0.15), ("pixels", 0.05)])
def test_a_layer_that_loses_nothing_gives_the_picture_back(
    pictures: torch.Tensor, parametrisation: str, most: float
) -> None:
    found = invert(
        orthogonal(), pictures, "0", preprocess=PLAIN, parametrisation=parametrisation, steps=150,
        alpha_weight=0, tv_weight=0,
    )  # fmt: skip
    torch.testing.assert_close(found.images, pictures, rtol=0, atol=most)
    assert (found.images - pictures).abs().mean() < most / 5
    assert max(found.errors) < most / 3
    difference = pixels_of(found, PLAIN).float() - (pictures.permute(0, 2, 3, 1) + 1) * 127.5
    assert difference.abs().max() <= most * 127.5 + 1


def test_what_a_layer_throws_away_is_not_recovered(pictures: torch.Tensor) -> None:
    pooled = Inside(nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(3 * 12, 2)), (3, 16, 12))
    found = invert(pooled, pictures, "0", preprocess=PLAIN, steps=100, tv_weight=1e-4)
    assert max(found.errors) < 0.05
    coarse = nn.functional.avg_pool2d(pictures, 4)
    torch.testing.assert_close(nn.functional.avg_pool2d(found.images, 4), coarse, rtol=0, atol=0.05)
    assert (found.images - pictures).abs().max() > 0.1


def test_the_error_falls_and_is_that_of_the_returned_pictures(pictures: torch.Tensor, awkward: nn.Module) -> None:
    inside = Inside(awkward, (3, 16, 12))
    found = invert(inside, pictures, "cat", preprocess=PLAIN, steps=60)
    assert 60 <= len(found.history) < 80  # a search along a line is finished
    assert found.history[-1] < 0.5 * found.history[0]
    awkward.eval()
    wanted, given = (inside.play(images, keep=["cat"]).kept["cat"].flatten(1) for images in (pictures, found.images))
    np.testing.assert_allclose(found.errors, (given - wanted).norm(dim=1) / wanted.norm(dim=1), rtol=1e-4)
    assert found.images.abs().max() <= 1 + 1e-5  # every pixel is one that a picture can have


def test_more_steps_come_nearer(pictures: torch.Tensor, awkward: nn.Module) -> None:
    inside = Inside(awkward, (3, 16, 12))
    errors = [np.mean(invert(inside, pictures, "conv2", preprocess=PLAIN, steps=n).errors) for n in (5, 40, 160)]
    assert errors[0] > errors[1] > errors[2]


def test_total_variation_smooths(pictures: torch.Tensor, awkward: nn.Module) -> None:
    inside = Inside(awkward, (3, 16, 12))
    rough, smooth = (
        invert(inside, pictures, "conv3", preprocess=PLAIN, steps=30, tv_weight=weight).images for weight in (0.0, 3.0)
    )
    assert rough.diff(dim=3).square().mean() > 1.5 * smooth.diff(dim=3).square().mean()


def test_the_same_seed_gives_the_same_picture_and_torchs_state_stays(
    pictures: torch.Tensor, awkward: nn.Module
) -> None:
    inside = Inside(awkward, (3, 16, 12))
    before = {name: tensor.clone() for name, tensor in awkward.state_dict().items()}
    state = torch.get_rng_state()
    one, same, other = (
        invert(inside, pictures, "conv2", preprocess=PLAIN, steps=5, seed=seed, jitter=1).images for seed in (3, 3, 4)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert all(torch.equal(before[name], tensor) for name, tensor in awkward.state_dict().items())
    assert all(parameter.grad is None for parameter in awkward.parameters())


def test_jitter_changes_the_descent(pictures: torch.Tensor, awkward: nn.Module) -> None:
    inside = Inside(awkward, (3, 16, 12))
    still, moving = (
        invert(inside, pictures, "conv2", preprocess=PLAIN, steps=20, jitter=jitter).history for jitter in (0, 3)
    )
    assert still != moving


def test_a_vector_is_inverted_too(pictures: torch.Tensor, awkward: nn.Module) -> None:
    found = invert(Inside(awkward, (3, 16, 12)), pictures, "head", preprocess=PLAIN, steps=60)
    assert max(found.errors) < 0.1


def test_an_explanation_says_layer_and_error(small_network: Network, picture: np.ndarray) -> None:
    done: list[tuple[int, int]] = []
    case = Case.of(small_network, picture, progress=lambda *state: done.append(state))
    explanation = inversion(case, layer="stage1", steps=4)
    assert explanation.kind == "image"
    assert explanation.array.shape == (32, 32, 3)
    assert np.abs(explanation.array).max() <= 1 + 1e-5  # black is -1, and white 1
    assert explanation.layer == case.inside.layer("stage1").name
    assert (explanation.label, explanation.score) == (None, None)
    assert explanation.note == f"error {explanation.settings['error']:.2g} of what the layer gives"
    assert done[:4] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert set(done[4:]) <= {(4, 4)}
    assert "chosen" in inversion(case, steps=1).note
    assert METHODS["inversion"].function is inversion


def test_a_strip_has_an_explanation_of_each_stage(small_network: Network, picture: np.ndarray) -> None:
    case = Case.of(small_network, picture)
    assert [found.layer for found in strip(case, steps=1)] == [layer.name for layer in stages(case.inside)]
    assert [found.layer for found in strip(case, layers=["stage2"], steps=1)] == [case.inside.layer("stage2").name]


def test_bad_settings_are_refused(pictures: torch.Tensor) -> None:
    inside = orthogonal()
    with pytest.raises(UnknownName, match="no layer is called 'conv'"):
        invert(inside, pictures, "conv", preprocess=PLAIN)
    with pytest.raises(InputError, match="steps is 0; expected a whole number of at least 1"):
        invert(inside, pictures, "0", preprocess=PLAIN, steps=0)
    with pytest.raises(InputError, match="jitter is 12; expected whole pixels from 0 to less than the picture's 12"):
        invert(inside, pictures, "0", preprocess=PLAIN, jitter=12)
    with pytest.raises(InputError, match="layer '0' gives only zeros for this picture: nothing is left to invert"):
        invert(inside, torch.zeros_like(pictures), "0", preprocess=PLAIN)


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_registered_network_is_inverted(name: str) -> None:
    torch.manual_seed(0)
    network = Network.create(name, list("abcdefghij"))
    inside = Inside.of(network)
    images = torch.randn(1, *inside.trace.input_shape, generator=torch.Generator().manual_seed(0))
    layer = stages(inside)[0].name
    found = invert(inside, images, layer, preprocess=network.preprocess, steps=12)
    assert found.history[-1] < found.history[0]
