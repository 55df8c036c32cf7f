"""Activation maximisation: answers grow, of what was asked, from a seed, within what a picture can be."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from glassnet.errors import InputError, UnknownName
from glassnet.explain.case import Case
from glassnet.explain.explanation import Explanation
from glassnet.explain.inside import Inside
from glassnet.explain.maximisation import MOST_SCALE, MOST_TURN, Aim, find_aim, maximisation, maximise, shaken
from glassnet.explain.methods import METHODS
from glassnet.explain.priors import Colours
from glassnet.models import Network


def as_input(network: Network, explanation: Explanation) -> torch.Tensor:
    """Return an explanation's image as the network's input (1, C, H, W)."""
    return Colours.of(network.preprocess).to_input(torch.from_numpy(explanation.array).permute(2, 0, 1)[None])


def test_an_answer_is_the_logit_the_maps_mean_or_one_neuron(awkward: nn.Module) -> None:
    inside, images = Inside(awkward, (3, 16, 16)), torch.randn(2, 3, 16, 16)
    playing = inside.play(images, keep=["conv3"])
    assert playing.logits is not None
    torch.testing.assert_close(Aim(target=2).read(inside, images), playing.logits[:, 2])
    layer, kept = inside.layer("conv3"), playing.kept["conv3"]
    torch.testing.assert_close(Aim(layer=layer, channel=5).read(inside, images), kept[:, 5].mean((1, 2)))
    torch.testing.assert_close(Aim(layer=layer, channel=5, position=(1, 7)).read(inside, images), kept[:, 5, 1, 7])
    head = Aim(layer=inside.layer("head"), channel=3, position=(0, 0)).read(inside, images)  # a vector has one position
    torch.testing.assert_close(head, playing.logits[:, 3])


def test_the_brightest_picture_is_white_and_the_darkest_black(small_network: Network) -> None:
    for weight in (1.0, -1.0):
        convolution = nn.Conv2d(3, 1, 1, bias=False)
        convolution.weight.data.fill_(weight)
        inside = Inside(nn.Sequential(convolution, nn.Flatten(), nn.Linear(64, 2)), (3, 8, 8))
        found = maximise(
            small_network,
            inside=inside,
            layer="0",
            channel=0,
            steps=100,
            learning_rate=0.1,
            alpha_weight=0,
            tv_weight=0,
        )
        assert (found.array * weight).mean() > 0.7
        assert found.picture.mean() > 210 if weight > 0 else found.picture.mean() < 45


def test_a_class_a_channel_and_a_neuron_answer_more(small_network: Network) -> None:
    inside = Inside.of(small_network)
    owl = maximise(small_network, label="owl", inside=inside, steps=30)
    assert (owl.label, owl.layer, owl.kind) == ("owl", None, "image")
    assert owl.array.shape == owl.picture.shape == (32, 32, 3)
    probabilities = small_network.logits(as_input(small_network, owl), device="cpu").softmax(1)[0]
    assert owl.score == pytest.approx(float(probabilities[2]), rel=1e-3)
    noise = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert owl.settings["answer"] > small_network.logits(noise, device="cpu")[:, 2].max()
    for position in (None, (3, 4)):
        found = maximise(
            small_network, layer="stage2", channel=7, position=position, inside=inside, steps=30, learning_rate=0.1
        )
        aim = find_aim(inside, "stage2", 7, position)
        answer = float(aim.read(inside, as_input(small_network, found)))
        assert answer == pytest.approx(found.settings["answer"], rel=1e-3)
        assert answer > 1.2 * float(aim.read(inside, noise).max())
        assert (found.label, found.score) == (None, None)
        assert "stage2" in found.note
        assert ("at row 3, column 4" in found.note) == (position is not None)


def test_a_case_compares_with_its_picture(small_network: Network, picture: np.ndarray) -> None:
    done: list[tuple[int, int]] = []
    case = Case.of(small_network, picture, label="dog", progress=lambda *state: done.append(state))
    found = maximisation(case, steps=3)
    assert (found.label, found.score) == ("dog", pytest.approx(float(case.probabilities[1])))
    assert found.picture is case.pixels
    assert f"of this picture {float(case.logits[1]):.3g}" in found.note
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert maximisation(case, channel=2, steps=1).label is None  # of the last map, chosen
    assert METHODS["maximisation"].function is maximisation


def test_the_same_seed_gives_the_same_picture_and_torchs_state_stays(small_network: Network) -> None:
    state = torch.get_rng_state()
    one, same, other = (maximise(small_network, label=0, steps=3, seed=seed).array for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert (one == same).all()
    assert (one != other).any()
    assert all(parameter.grad is None for parameter in small_network.module.parameters())


def test_shaking_moves_turns_and_scales_by_at_most_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    v = torch.zeros(1, 1, 32, 48)
    v[0, 0, 16, 24:40] = 1.0  # a line from the centre to the right

    def drawn(*numbers: float) -> torch.Tensor:
        values = torch.tensor([(number + 1) / 2 for number in numbers])
        with monkeypatch.context() as patch:
            patch.setattr(torch, "rand", lambda *_args, **_kwargs: values)
            return shaken(v, 4, torch.Generator())[0, 0]

    torch.testing.assert_close(drawn(0, 0, 0, 0), v[0, 0])
    torch.testing.assert_close(drawn(1, -1, 0, 0)[12:13, 28:44], v[0, 0, 16:17, 24:40])  # 4 up, 4 right
    turned = drawn(0, 0, 1, 0)
    end = turned[:, 37].argmax() - 15.5  # rows from the centre, about 14 columns beside it
    assert abs(abs(float(end)) - abs(math.tan(math.radians(MOST_TURN)) * 14 - 0.5)) < 1.5
    assert drawn(0, 0, 0, 1)[16].sum() == pytest.approx(16 * (1 + MOST_SCALE), abs=1.5)


def test_bad_settings_are_refused(small_network: Network, picture: np.ndarray) -> None:
    for wrong in ({}, {"label": "owl", "channel": 3}):
        with pytest.raises(InputError, match="give either a label, or a channel"):
            maximise(small_network, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="label is 'owl', so there is no layer or position to choose"):
        maximise(small_network, label="owl", layer="stage1")
    with pytest.raises(InputError, match="there is no picture whose top class it could be"):
        maximise(small_network, label="top")
    with pytest.raises(UnknownName, match="no class is called 'own'; nearest: owl"):
        maximise(small_network, label="own")
    with pytest.raises(UnknownName, match="no layer is called 'stagee1'"):
        maximise(small_network, layer="stagee1", channel=0)
    with pytest.raises(InputError, match=r"layer .stage1.* has no channel 16; it has 16, numbered from 0"):
        maximise(small_network, layer="stage1", channel=16)
    with pytest.raises(InputError, match=r"has no position \(0, 32\); its map has 32 rows and 32 columns"):
        maximise(small_network, layer="stage1", channel=1, position=(0, 32))
    with pytest.raises(InputError, match="steps is -1; expected"):
        maximise(small_network, label=0, steps=-1)
    case = dataclasses.replace(Case.of(small_network, picture), target=1)
    with pytest.raises(InputError, match="layer and position say where a channel is; give the channel too"):
        maximisation(case, layer="stage1")
