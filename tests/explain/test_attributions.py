"""Integrated gradients, SmoothGrad, RISE, and masks: linear networks by hand, completeness, seeds, bad settings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glassnet.errors import InputError, UnknownName
from glassnet.explain.attributions import (
    baseline_of,
    blurred,
    gauss_legendre,
    integrated_gradients,
    rise,
    smoothgrad,
)
from glassnet.explain.case import Case
from glassnet.explain.masks import random_masks, to_unit
from glassnet.explain.projections import gradient
from glassnet.models import Network


@pytest.fixture(scope="module")
def case(small_network: Network, picture: np.ndarray) -> Case:
    return Case.of(small_network, picture, label="cat")


def test_to_unit() -> None:
    scaled = to_unit(torch.tensor([[[1.0, 3.0]], [[5.0, 5.0]]]))
    assert scaled.tolist() == [[[0, 1]], [[0, 0]]]


def test_masks_depend_on_the_seed_and_not_on_the_batch() -> None:
    def masks(batch: int, seed: int) -> torch.Tensor:
        return torch.cat(list(random_masks(10, (9, 14), cells=3, share=0.5, seed=seed, batch=batch)))

    assert masks(10, 0).shape == (10, 9, 14)
    assert torch.equal(masks(3, 0), masks(10, 0))
    assert not torch.equal(masks(10, 1), masks(10, 0))
    many = torch.cat(list(random_masks(2000, (8, 8), cells=4, share=0.25, seed=0, batch=100)))
    assert many.min() >= 0
    assert many.max() <= 1
    assert (many.mean(0) - 0.25).abs().max() < 0.05


def test_gauss_and_legendres_points_integrate_polynomials() -> None:
    points, weights = gauss_legendre(3)
    assert float((weights * points**5).sum()) == pytest.approx(1 / 6, abs=1e-6)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-6)


def test_blurring_keeps_a_flat_picture_and_the_centre_of_a_point() -> None:
    torch.testing.assert_close(blurred(torch.full((1, 2, 9, 7), 3.0), 2.0), torch.full((1, 2, 9, 7), 3.0))
    point = torch.zeros(1, 1, 41, 41)
    point[0, 0, 20, 20] = 1
    found = blurred(point, 2.0)[0, 0]
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)
    assert float(found[20, 20]) == pytest.approx(1 / (2 * np.pi * 4), rel=0.02)


def test_baselines(case: Case) -> None:
    finish = case.network.preprocess.finish
    mean, std = case.network.preprocess.mean[0], case.network.preprocess.std[0]
    assert baseline_of(case.images, finish, "mean").unique().tolist() == [0]
    assert float(baseline_of(case.images, finish, "black")[0, 0, 0, 0]) == pytest.approx(-mean / std, rel=1e-4)
    assert float(baseline_of(case.images, finish, "white")[0, 0, 0, 0]) == pytest.approx((1 - mean) / std, rel=1e-4)
    assert baseline_of(case.images, finish, "blur").std() < case.images.std()


@pytest.mark.parametrize("baseline", ["mean", "black", "white", "blur"])
def test_integrated_gradients_are_complete(case: Case, baseline: str) -> None:
    found = integrated_gradients(case, baseline=baseline, steps=100)
    start = baseline_of(case.images, case.network.preprocess.finish, baseline)
    with torch.no_grad():
        ends = case.network.module.eval()(torch.cat([case.images, start]))[:, case.target]
    difference = float(ends[0] - ends[1])
    assert found.kind == "signed"
    assert abs(difference) > 0.002
    assert found.array.sum() == pytest.approx(difference, rel=0.03, abs=0.0005)
    assert found.settings["difference"] == pytest.approx(difference, abs=1e-4)
    assert f"above the {baseline} baseline's" in found.note


def test_integrated_gradients_of_one_step_are_gradient_times_input_half_way(case: Case) -> None:
    half = case.images / 2
    leaf = half.clone().requires_grad_()
    (slope,) = torch.autograd.grad(case.network.module.eval()(leaf)[0, case.target], leaf)
    expected = (case.images * slope)[0].sum(0)
    np.testing.assert_allclose(integrated_gradients(case, steps=1).array, expected.numpy(), atol=1e-4)


def test_smoothgrad_without_noise_is_the_gradient_and_with_noise_its_mean(case: Case) -> None:
    np.testing.assert_allclose(smoothgrad(case, samples=3, noise=0.0).array, gradient(case).array, rtol=1e-3, atol=1e-5)
    once = smoothgrad(case, samples=20, seed=1)
    assert np.array_equal(once.array, smoothgrad(case, samples=20, seed=1).array)
    assert not np.allclose(once.array, smoothgrad(case, samples=20, seed=2).array)
    generator = torch.Generator().manual_seed(1)
    noisy = torch.cat([torch.randn(16, 3, 32, 32, generator=generator), torch.randn(4, 3, 32, 32, generator=generator)])
    leaf = (case.images + 0.15 * (case.images.max() - case.images.min()) * noisy).requires_grad_()
    (slopes,) = torch.autograd.grad(case.network.module.eval()(leaf)[:, case.target].sum(), leaf)
    np.testing.assert_allclose(once.array, slopes.mean(0).permute(1, 2, 0).numpy(), rtol=1e-2, atol=1e-4)


def test_rise_is_the_slow_loop_and_repeats(case: Case) -> None:
    found = rise(case, masks=40, cells=4, seed=3)
    module, total = case.network.module.eval(), torch.zeros(32, 32)
    with torch.no_grad():
        for mask in random_masks(40, (32, 32), cells=4, share=0.5, seed=3, batch=1):
            total += module(case.images * mask).softmax(1)[0, case.target] * mask[0]
    np.testing.assert_allclose(found.array, (total / 20).numpy(), rtol=1e-3, atol=1e-5)
    assert np.array_equal(found.array, rise(case, masks=40, cells=4, seed=3).array)
    assert not np.array_equal(found.array, rise(case, masks=40, cells=4, seed=4).array)


def test_progress_is_told_and_torchs_random_state_is_left(small_network: Network, picture: np.ndarray) -> None:
    told: list[tuple[int, int]] = []
    case = Case.of(small_network, picture, progress=lambda done, all_: told.append((done, all_)))
    state = torch.get_rng_state()
    rise(case, masks=40)
    smoothgrad(case, samples=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert told == [(32, 40), (40, 40), (2, 2)]


def test_bad_settings(case: Case) -> None:
    with pytest.raises(InputError, match=r"steps is 0; expected a whole number of at least 1"):
        integrated_gradients(case, steps=0)
    with pytest.raises(UnknownName, match=r"no baseline is called 'blakc'; nearest: black; it is one of: mean, black"):
        integrated_gradients(case, baseline="blakc")
    with pytest.raises(InputError, match=r"samples is -1; expected a whole number"):
        smoothgrad(case, samples=-1)
    for noise in (-0.1, float("nan")):
        with pytest.raises(InputError, match=rf"noise is {noise}; expected a share of the picture's range"):
            smoothgrad(case, noise=noise)
    with pytest.raises(InputError, match=r"masks is 0; expected"):
        rise(case, masks=0)
    with pytest.raises(InputError, match=r"cells is 33, more than the picture's 32 pixels"):
        rise(case, cells=33)
    for share in (0, 1, float("nan")):
        with pytest.raises(InputError, match=rf"share is {share}; expected the share that stays visible"):
            rise(case, share=share)
