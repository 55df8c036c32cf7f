"""Orders, curves, boxes, ranks and forgetting: by hand, against SciPy, against drawn boxes."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr
from torch import nn

from glassnet.errors import InputError
from glassnet.explain.case import Case, shown
from glassnet.explain.judging.curves import area, curves, order
from glassnet.explain.judging.importance import importance, random_importance
from glassnet.explain.judging.pointing import boxes_in_input, hits, mass_inside, upright_size
from glassnet.explain.judging.sanity import randomised, rank_correlation, weighted_layers
from glassnet.explain.projections import gradient
from glassnet.models import Network
from glassnet.preprocess import Preprocess


@pytest.fixture(scope="module")
def case(small_network: Network, picture: np.ndarray) -> Case:
    return Case.of(small_network, picture)


def test_the_order_falls_and_ties_are_broken_by_the_seed() -> None:
    assert order(np.array([[3.0, 9.0], [-1.0, 4.0]])).tolist() == [[2, 0], [3, 1]]
    flat = np.zeros((4, 4))
    assert sorted(order(flat, 1).ravel()) == list(range(16))
    assert order(flat, 1).tolist() == order(flat, 1).tolist() != order(flat, 2).tolist()


def test_the_area_by_hand() -> None:
    assert area(np.array([1.0, 0.5, 0.0])) == pytest.approx(0.5)
    assert area(np.array([1.0, 0.0, 0.0, 0.0, 0.0])) == pytest.approx(1 / 8)


class OnePixel(nn.Module):
    """The first class's logit is 10 where pixel (1, 2) is bright; the second's is 0."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logit = 10 * (x[:, 0, 1, 2] - 0.5)
        return torch.stack([logit, torch.zeros_like(logit)], 1)


def test_curves_of_a_network_that_reads_one_pixel(case: Case) -> None:
    images = torch.zeros(1, 1, 2, 4)
    images[0, 0, 1, 2] = 1
    mine = dataclasses.replace(case, images=images, target=0)
    vars(mine)["predictor"] = OnePixel()
    first, last = np.zeros((2, 4), np.float32), np.ones((2, 4), np.float32)
    first[1, 2], last[1, 2] = 1, 0
    high, low = 1 / (1 + np.exp(-5)), 1 / (1 + np.exp(5))
    best, worst = curves(mine, first, steps=8), curves(mine, last, steps=8)
    np.testing.assert_allclose(best.deletion, [high] + [low] * 8, rtol=1e-5)
    np.testing.assert_allclose(worst.deletion, [high] * 8 + [low], rtol=1e-5)
    np.testing.assert_allclose(best.insertion[1:], [high] * 8, rtol=1e-5)
    assert best.insertion[0] < 0.5
    assert best.deleted < worst.deleted
    assert best.inserted > worst.inserted
    assert len(curves(mine, first, steps=40).deletion) == 41  # more than one batch
    with pytest.raises(InputError, match=r"steps is 0; expected at least 1"):
        curves(mine, first, steps=0)


def test_curves_begin_and_end_with_the_whole_picture(case: Case) -> None:
    found = curves(case, random_importance(case.size, coarse=True, seed=0), steps=3)
    assert found.deletion[0] == pytest.approx(float(case.probabilities[case.target]), rel=1e-4)
    assert found.insertion[-1] == pytest.approx(found.deletion[0], rel=1e-4)


def test_importance(case: Case) -> None:
    image = gradient(case)
    assert np.array_equal(importance(image), abs(image.array).max(2))
    signed = case.explanation(np.array([[-1.0, 3.0]]), method="x", title="X", kind="signed", unit="")
    assert importance(signed).shape == (32, 32)
    assert importance(signed)[0, 0] == -1
    assert importance(signed)[5, 31] == 3
    with pytest.raises(InputError, match=r"Gradient of stage1.* explains no class here"):
        importance(gradient(case, layer="stage1"))


def test_random_maps() -> None:
    smooth, fine = (random_importance((28, 28), coarse=coarse, seed=0) for coarse in (True, False))
    assert abs(np.diff(smooth)).mean() < 0.5 * abs(np.diff(fine)).mean()
    assert not np.array_equal(smooth, random_importance((28, 28), coarse=True, seed=1))


def test_hits_and_mass_by_hand() -> None:
    important = np.array([[0, 0, 6, 0], [0, 2, 0, -5], [0, 0, 0, 2.0]])
    boxes = np.array([[2.0, 0, 4, 1], [3, 2, 4, 3]])
    assert hits(important, boxes)
    assert mass_inside(important, boxes) == pytest.approx(8 / 10)
    away = np.array([[0.0, 1, 1, 2]])
    assert not hits(important, away)
    assert hits(important, away, tolerance=1.5)
    assert not hits(important, away, tolerance=1.4)
    assert mass_inside(-abs(important), boxes) == 0


@pytest.mark.parametrize("resize", ["shortest", "pad", "squash"])
@pytest.mark.parametrize("crop", [1.0, 0.8])
@pytest.mark.parametrize("size", [(120, 200), (210, 90)])
def test_boxes_go_the_way_of_the_picture(resize: str, crop: float, size: tuple[int, int]) -> None:
    preprocess = Preprocess(height=48, width=64, crop=crop, resize=resize)
    pixels = np.zeros((*size, 3), np.uint8)
    box = [0.4 * size[1], 0.4 * size[0], 0.65 * size[1], 0.6 * size[0]]
    pixels[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = 255
    seen = shown(preprocess, torch.from_numpy(preprocess.intermediate(pixels)[None]))[:, :, 0] > 127
    rows, columns = seen.any(1).nonzero()[0], seen.any(0).nonzero()[0]
    expected = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    np.testing.assert_allclose(boxes_in_input([box], size, preprocess)[0], expected, atol=1.1)


def test_bad_boxes_and_boxes_outside() -> None:
    preprocess = Preprocess(height=10, width=10, crop=1.0)
    assert boxes_in_input([[0, 0, 2, 20]], (20, 60), preprocess).shape == (0, 4)  # the centre is kept
    assert boxes_in_input([], (20, 60), preprocess).shape == (0, 4)
    with pytest.raises(InputError, match=r"boxes are \[\[5, 5, 5, 9\]\]; expected \(n, 4\): left, top, right, bottom"):
        boxes_in_input([[5, 5, 5, 9]], (20, 60), preprocess)
    with pytest.raises(InputError, match=r"reach out of their picture of 60x20 pixels"):
        boxes_in_input([[5, 5, 61, 9]], (20, 60), preprocess)


def test_the_upright_size_of_a_picture(tmp_path: Path) -> None:
    image = Image.new("RGB", (30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    image.save(tmp_path / "turned.jpg", exif=exif)
    np.save(tmp_path / "array.npy", np.zeros((7, 5), np.uint8))
    assert upright_size(image) == (20, 30)
    assert upright_size(tmp_path / "turned.jpg") == (30, 20)
    assert upright_size((tmp_path / "turned.jpg").read_bytes()) == (30, 20)
    assert upright_size(str(tmp_path / "array.npy")) == (7, 5)
    assert upright_size(np.zeros((4, 6, 3), np.uint8)) == (4, 6)


def test_rank_correlation_is_scipys() -> None:
    generator = np.random.default_rng(0)
    first = generator.integers(0, 9, (12, 10)).astype(np.float32)  # with ties
    second = (first + generator.normal(0, 3, first.shape)).astype(np.float32).round()
    assert rank_correlation(first, second) == pytest.approx(spearmanr(first.ravel(), second.ravel())[0])
    assert rank_correlation(first, first) == pytest.approx(1)
    assert rank_correlation(first, -first) == pytest.approx(-1)
    assert rank_correlation(first, np.zeros_like(first)) == 0


def test_forgetting_is_of_a_copy_from_the_head_down(small_network: Network) -> None:
    before = copy.deepcopy(small_network.module.state_dict())
    state = torch.get_rng_state()
    layers = weighted_layers(small_network)
    assert layers[-1] == "head"
    for share, forgotten in ((0.0, layers[-1:]), (0.5, layers[-round(len(layers) / 2) :]), (1.0, layers)):
        after = randomised(small_network, share).module.state_dict()
        changed = {
            name.rsplit(".", 1)[0]
            for name, tensor in after.items()
            if not torch.equal(tensor, before[name]) and "num_batches" not in name
        }
        assert changed == set(forgotten)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in small_network.module.state_dict().items())
    again = randomised(small_network, 1.0, seed=1).module.state_dict()
    assert not torch.equal(again["head.weight"], after["head.weight"])
    with pytest.raises(InputError, match=r"share is 1.5; expected 0 \(the last layer alone\) to 1 \(all\)"):
        randomised(small_network, 1.5)
