"""Priors and parametrisations of optimised pictures, against numbers by hand and NumPy's transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glassnet.errors import InputError
from glassnet.explain.priors import (
    Canvas,
    Colours,
    alpha_norm,
    check_descent,
    draw_shift,
    moved,
    recoloured,
    squashed,
    to_pixels,
    total_variation,
)
from glassnet.preprocess import Preprocess


def test_alpha_norm_by_hand() -> None:
    v = torch.tensor([[[[0.0, 1.0], [-2.0, 1.0]]], [[[0.5, 0.0], [0.0, 0.0]]]])
    assert alpha_norm(v, 2).tolist() == [1.5, 0.0625]
    assert alpha_norm(v).tolist() == [66 / 4, 0.5**6 / 4]


def test_total_variation_by_hand() -> None:
    v = torch.tensor([[[[0.0, 3.0, 3.0], [4.0, 0.0, 0.0]]]])  # down 4 and right 3, then down -3 and right 0
    assert total_variation(v).tolist() == [(25 + 9) / 2]
    np.testing.assert_allclose(total_variation(v, beta=1), [(5 + 3) / 2], rtol=1e-5)
    assert total_variation(torch.ones(1, 2, 4, 4)).tolist() == [0]


def test_total_variation_of_a_plain_picture_has_a_slope() -> None:
    v = torch.ones(1, 1, 3, 3, requires_grad=True)
    total_variation(v, beta=1).sum().backward()
    assert v.grad is not None
    assert v.grad.isfinite().all()


def test_colours_lead_to_the_networks_input_and_back() -> None:
    preprocess = Preprocess(height=4, width=4)
    colours = Colours.of(preprocess)
    white_black = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    pixels = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    pixels[0] = 255
    torch.testing.assert_close(colours.to_input(white_black), preprocess.finish(pixels), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(colours.from_input(colours.to_input(white_black)), white_black, rtol=1e-5, atol=1e-5)
    assert torch.equal(to_pixels(white_black), pixels)


def test_squashing_keeps_grey_and_never_reaches_the_ends() -> None:
    v = torch.tensor([-100.0, -1.0, 0.0, 0.75, 100.0])
    np.testing.assert_allclose(squashed(v), [-0.99995, -(0.5**0.5), 0, 0.6, 0.99995], rtol=1e-5)


def test_moving_goes_round() -> None:
    images = torch.arange(6.0).view(1, 1, 2, 3)
    assert moved(images, (1, -1)).flatten().tolist() == [4, 5, 3, 1, 2, 0]


def test_shifts_reach_both_ends_and_no_further() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = {part for _ in range(200) for part in draw_shift(2, generator)}
    assert drawn == {-2, -1, 0, 1, 2}


@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_fourier_coefficients_are_numpys(size: tuple[int, int]) -> None:
    canvas = Canvas((1, 1, *size), noise=1.0)
    height, width = size
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.maximum(np.hypot(rows, columns), 1 / max(size))
    numbers = canvas.parameters.detach()[0, 0].numpy()
    expected = np.fft.irfft2((numbers[..., 0] + 1j * numbers[..., 1]) / frequency, s=size, norm="ortho")
    np.testing.assert_allclose(canvas.draw().detach()[0, 0], expected, atol=1e-5)


def test_the_colour_axes_are_of_length_one_and_square_to_each_other() -> None:
    axes = recoloured(torch.eye(3)[:, :, None, None])[:, :, 0, 0]  # (axis, colour)
    spread = torch.diag(axes @ axes.T).sqrt()
    torch.testing.assert_close(axes @ axes.T, torch.diag(spread.square()), rtol=0, atol=1e-6)
    torch.testing.assert_close(spread, torch.tensor([1.0, 0.3, 0.15]))
    torch.testing.assert_close(axes[0], torch.full((3,), 3**-0.5))  # the first is light
    assert abs(float(axes[2, 2])) < 1e-6  # the last has no blue


def test_a_canvas_starts_from_its_seed_alone() -> None:
    state = torch.get_rng_state()
    one, same, other = (Canvas((1, 3, 8, 8), seed=seed).draw().detach() for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(Canvas((1, 1, 2, 2), kind="pixels", noise=0).draw(), torch.zeros(1, 1, 2, 2))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(InputError, match="parametrisation is 'wavelets'; expected one of: fourier, pixels"):
        Canvas((1, 3, 8, 8), kind="wavelets")
    good = {"steps": 1, "learning_rate": 0.1, "alpha_weight": 0.0, "tv_weight": 0.0, "jitter": 0}
    check_descent((8, 9), **good)  # type: ignore[arg-type]
    for name, values, expected in (
        ("steps", (0, -1, 1.5, True), "expected a whole number of at least 1"),
        ("learning_rate", (0, -0.1, float("nan"), float("inf")), "expected a number above 0"),
        ("alpha_weight", (-1, float("nan")), "expected a number of at least 0"),
        ("tv_weight", (-1, float("inf")), "expected a number of at least 0"),
        ("jitter", (-1, 8, 0.5), "expected whole pixels from 0 to less than the picture's 8"),
    ):
        for value in values:
            with pytest.raises(InputError, match=f"{name} is {value}; {expected}"):
                check_descent((8, 9), **good | {name: value})  # type: ignore[arg-type]
