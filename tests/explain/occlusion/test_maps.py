"""What a user gets: maps over the picture, by every occluder, on one picture or a strange one, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from glassnet.errors import InputError, UnknownName
from glassnet.explain.case import Case
from glassnet.explain.occlusion.maps import occlusion, study
from glassnet.models import Network
from glassnet.preprocess import Preprocess


@pytest.fixture(scope="module")
def network() -> Network:
    """A network of one convolution and dense layer on 21x27 pictures."""
    torch.manual_seed(0)
    preprocess = Preprocess(height=21, width=27, crop=1.0)
    network = Network.create("resnet20_cifar", ["cat", "dog", "owl"], preprocess=preprocess)
    for part in network.module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.3, 0.3)
    return network


@pytest.fixture(scope="module")
def case(network: Network) -> Case:
    rows, columns = np.mgrid[0:42, 0:54]
    pixels = np.stack([rows * 6, columns * 4, (rows + columns) * 2], 2).astype(np.uint8)
    pixels[12:24, 10:22] = 250
    return Case.of(network, pixels, label="dog")


def by_hand(case: Case, cover: torch.Tensor, size: tuple[int, int], y: list[int], x: list[int]) -> np.ndarray:
    """Return the averaged fall of the probability, position by position, pixel by pixel."""
    height, width = case.size
    total, count = np.zeros((height, width)), np.zeros((height, width))
    before = case.network.logits(case.images, device="cpu").softmax(1)[0, case.target]
    for row in y:
        for column in x:
            window = (..., slice(row, row + size[0]), slice(column, column + size[1]))
            covered = case.images.clone()
            covered[window] = cover[window]
            fall = before - case.network.logits(covered, device="cpu").softmax(1)[0, case.target]
            total[window] += float(fall)
            count[window] += 1
    return total / count


def test_the_map_is_the_mean_fall_over_all_occluders_that_cover_a_pixel(case: Case) -> None:
    found = occlusion(case, size=(6, 5), stride=(4, 3))
    y, x = [0, 4, 8, 12, 15], [0, 3, 6, 9, 12, 15, 18, 21, 22]  # neither stride divides: the last is at the border
    wanted = by_hand(case, torch.zeros_like(case.images), (6, 5), y, x)
    assert found.array.shape == (21, 27)
    np.testing.assert_allclose(found.array, wanted, atol=1e-5 * np.ptp(wanted) + 1e-7)
    assert (found.kind, found.label, found.method) == ("signed", "dog", "occlusion")
    assert found.settings == {"size": [6, 5], "stride": [4, 3], "positions": 45, "occluder": "grey"}
    assert found.note == "occluder 6x5, every 4 down and 3 across pixels: 45 positions"
    assert found.extent == (0.0, 27.0, 0.0, 21.0)


def test_occluders_are_what_they_say(case: Case) -> None:
    images = case.images
    mean = images.mean((2, 3), keepdim=True).expand_as(images)
    preprocess = case.network.preprocess
    red = (torch.tensor([1.0, 0.0, 0.0]) - torch.tensor(preprocess.mean)) / torch.tensor(preprocess.std)
    colour = red[None, :, None, None].expand_as(images)
    y, x = [0, 7, 14], [0, 7, 14, 20]
    for occluder, cover in (("mean", mean), ("#ff0000", colour), ((255, 0, 0), colour)):
        found = occlusion(case, size=7, stride=7, occluder=occluder)
        wanted = by_hand(case, cover, (7, 7), y, x)
        np.testing.assert_allclose(found.array, wanted, atol=1e-5 * np.ptp(wanted) + 1e-7)


def test_covering_with_nothing_new_changes_nothing(network: Network) -> None:
    plain = Case.of(network, np.full((30, 40, 3), (10, 200, 90), np.uint8))
    for occluder in ("blur", "mean", "#0ac85a"):
        assert np.abs(occlusion(plain, occluder=occluder).array).max() < 1e-6
    assert np.abs(occlusion(plain, occluder="grey").array).max() > 1e-4


def test_noise_is_seeded_and_leaves_torchs_own_state_alone(case: Case) -> None:
    state = torch.get_rng_state()
    first, again, other = (occlusion(case, occluder="noise", seed=seed).array for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4
    assert occlusion(case, occluder="noise", seed=1).settings["seed"] == 1


def test_between_occluders_that_do_not_touch_the_nearest_counts(case: Case) -> None:
    found = occlusion(case, size=1, stride=10).array  # rows 0, 10, 20, columns 0, 10, 20, 26
    assert (found[:5, :5] == found[0, 0]).all()
    assert (found[6:15, 6:15] == found[10, 10]).all()
    assert found[16, 24] == found[20, 26]
    assert len(np.unique(found)) <= 12


def test_one_position_covers_all(case: Case) -> None:
    found = occlusion(case, size=(21, 27)).array
    answer = case.to_probabilities(case.network.logits(torch.zeros_like(case.images), device="cpu"))[0, case.target]
    assert np.ptp(found) < 1e-7
    assert found[0, 0] == pytest.approx(float(case.probabilities[case.target] - answer), abs=1e-6)


def test_a_picture_of_one_pixel() -> None:
    torch.manual_seed(0)
    tiny = Network.create("resnet20_cifar", ["a", "b"], preprocess=Preprocess(height=1, width=1, crop=1.0))
    found = occlusion(Case.of(tiny, np.full((4, 4, 3), 200, np.uint8)))
    assert found.array.shape == (1, 1)
    assert found.settings["positions"] == 1


def test_sizes_are_chosen_by_the_picture_and_said(case: Case) -> None:
    found = occlusion(case)
    assert found.note == "occluder 4x4, every 2 pixels: 130 positions; chosen by the picture's size"


def test_progress_is_told(case: Case) -> None:
    told: list[tuple[int, int]] = []
    listening = dataclasses.replace(case, progress=lambda done, total: told.append((done, total)))
    occlusion(listening, size=5, stride=2)
    assert told == sorted(told)
    assert told[-1] == (108, 108)
    assert len(told) > 1


def test_a_study_shows_classes_winner_and_a_feature_map_at_once(case: Case) -> None:
    found = study(case, ["cat", 2], layer="stage2", channel=3, size=6, stride=5)
    assert found.grid.y.tolist() == [0, 5, 10, 15]
    assert found.grid.x.tolist() == [0, 5, 10, 15, 20, 21]
    name = case.inside.layer("stage2").name
    for y in found.grid.y:
        for column, x in enumerate(found.grid.x):
            covered = case.images.clone()
            covered[:, :, y : y + 6, x : x + 6] = 0
            playing = case.inside.play(covered, keep=[name])
            probabilities = playing.logits.softmax(1)[0]
            pixel = (int(y) + 3, int(x) + 3 if column != 5 else 26)  # its centre; the last two are a pixel apart
            assert found.probabilities[0].array[pixel] == pytest.approx(float(probabilities[0]), abs=1e-5)
            assert found.probabilities[1].array[pixel] == pytest.approx(float(probabilities[2]), abs=1e-5)
            assert found.likeliest.array[pixel] == int(probabilities.argmax())
            assert found.activity.array[pixel] == pytest.approx(float(playing.kept[name][0, 3].sum()), rel=1e-4)
    assert [each.label for each in found.probabilities] == ["cat", "owl"]
    assert (found.likeliest.kind, found.likeliest.label) == ("labels", None)
    assert (found.activity.kind, found.activity.layer, found.activity.unit) == ("map", name, "sum of channel 3")
    assert found.logits.shape == (4, 6, 3)


@pytest.mark.parametrize("layer", ["stem.conv", "stem.act", "stage1.0", "stage3"])
def test_any_layer_is_watched_as_it_is_also_one_that_was_folded(case: Case, layer: str) -> None:
    found = study(case, layer=layer, channel=1, size=8, stride=13)
    name = case.inside.layer(layer).name
    kept = case.inside.play(_covered(case, 0, 0, 8), keep=[name]).kept[name]
    assert found.activity.array[0, 0] == pytest.approx(float(kept[0, 1].sum()), rel=1e-4, abs=1e-4)


def _covered(case: Case, y: int, x: int, size: int) -> torch.Tensor:
    covered = case.images.clone()
    covered[:, :, y : y + size, x : x + size] = 0
    return covered


def test_a_study_without_a_layer_has_no_activity_and_chooses_where_it_is_free_to(case: Case) -> None:
    assert study(case, size=10, stride=10).activity is None
    chosen = study(case, layer="auto", size=10, stride=10).activity
    assert "chosen: the last one that still has positions" in chosen.note
    assert "chosen: the most active one" in chosen.note


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"size": 22}, "the occluder is 22 pixels high, and the picture 21; choose a size of at most 21"),
        ({"size": (4, 28)}, "the occluder is 28 pixels wide, and the picture 27"),
        ({"size": 0}, "size is 0; expected a whole number of pixels from 1 up, or a pair"),
        ({"size": -3}, "size is -3; expected a whole number"),
        ({"size": float("nan")}, "size is nan; expected a whole number"),
        ({"size": (4, 4, 4)}, r"size is \(4, 4, 4\); expected a whole number"),
        ({"size": "8"}, "size is '8'; expected a whole number"),
        ({"stride": 0}, "stride is 0; expected a whole number"),
        ({"stride": 2.5}, "stride is 2.5; expected a whole number"),
        ({"stride": True}, "stride is True; expected a whole number"),
        (
            {"occluder": "gray"},
            "no occluder is called 'gray'; nearest: grey; one of grey, mean, blur, noise, or #rrggbb",
        ),
        ({"occluder": "#12345"}, "occluder is '#12345'; expected a colour such as #808080"),
        ({"occluder": "#12345x"}, "occluder is '#12345x'; expected a colour"),
        ({"occluder": (0, 0, 256)}, r"occluder is \(0, 0, 256\); expected three whole numbers from 0 to 255"),
        ({"occluder": (0, 0)}, r"occluder is \(0, 0\); expected three whole numbers"),
        ({"memory": 0.01}, "memory is 0.01 MB; this network and occluder need at least [0-9]+"),
        ({"memory": -1}, "memory is -1; expected megabytes above 0"),
        ({"memory": float("nan")}, "memory is nan; expected megabytes above 0"),
    ],
)
def test_settings_that_cannot_be(case: Case, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        occlusion(case, **settings)


def test_layers_channels_and_classes_that_do_not_exist(case: Case) -> None:
    with pytest.raises(UnknownName, match=r"no layer is called 'stgae2'; nearest: .*stage2"):
        study(case, layer="stgae2")
    with pytest.raises(InputError, match=r"channel is 99; layer stage2.* has 32, numbered from 0"):
        study(case, layer="stage2", channel=99)
    with pytest.raises(InputError, match=r"channel is -1; layer stage2.* has 32"):
        study(case, layer="stage2", channel=-1)
    with pytest.raises(InputError, match="channel is 3, and no layer is given"):
        study(case, channel=3)
    with pytest.raises(InputError, match="without positions"):
        study(case, layer="pool")
    with pytest.raises(UnknownName, match="no class is called 'cow'"):
        study(case, ["cow"])


def test_the_network_stays_as_it_was(network: Network, case: Case) -> None:
    before = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    occlusion(case)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.module.state_dict().items())
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
