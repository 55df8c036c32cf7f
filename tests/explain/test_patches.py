"""Patches: cut to exactly what the answer depends on, whole where that is more than the picture, and projected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from glassnet.errors import InputError, UnknownName
from glassnet.explain.choose import stages
from glassnet.explain.inside import Inside
from glassnet.explain.patches import BATCH, cut, field_of, patches_of, support_of, top_patches
from glassnet.explain.strongest import strongest
from glassnet.models import Network, names


def corner() -> nn.Module:
    """Return one 2x2 window that adds its pixels, another that takes them away, two pixels apart."""
    convolution = nn.Conv2d(1, 2, 2, stride=2, bias=False)
    convolution.weight.data = torch.stack([torch.ones(1, 2, 2), -torch.ones(1, 2, 2)])
    return nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(18, 2))


def chain(seed: int = 0) -> nn.Sequential:
    """Return windows of several sizes and strides, padded, whose fields leave the picture at its edges."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 3, padding=2, dilation=2),
        nn.ReLU(inplace=True),
        nn.AvgPool2d(2, stride=1),
        nn.Flatten(),
        nn.Linear(6 * 11 * 11, 2),
    )


def test_a_patch_by_hand(network_of: Any, pictures_of: Any) -> None:
    pool = np.zeros((3, 6, 6, 1), np.uint8)
    pool[1, 2:4, 4:6] = [[[1], [2]], [[3], [4]]]
    pool[2, 0, 0] = 5
    network = network_of(corner(), 6, 6)
    (found, other) = top_patches(network, pictures_of(network, pool), "0", [0, 1], top=2)
    first, second = found.patches
    assert (first.item, first.position, first.value) == (1, (1, 2), 10)
    assert first.field == first.box == (2, 4, 4, 6)
    assert first.pixels[:, :, 0].tolist() == [[1, 2], [3, 4]]
    assert (first.projection == 10).all()  # the filter, times the answer
    assert first.outline is None
    assert first.label == "yes"
    assert second.pixels[:, :, 0].tolist() == [[5, 0], [0, 0]]
    assert (other.dead, other.patches) == (True, ())
    assert other.title == "0, channel 1, never above zero"
    assert found.pictures == 3


def test_no_pixel_outside_the_field_matters_and_those_at_its_corners_do(network_of: Any, pictures_of: Any) -> None:
    module, size = chain(), 24
    network = network_of(module, size, size)
    pool = np.random.default_rng(0).integers(0, 256, (12, size, size, 1), dtype=np.uint8)
    pictures = pictures_of(network, pool)
    inside = Inside.of(network)
    over_the_edge = 0
    for layer in ("0", "2", "4"):
        answers = strongest(network, pictures, layer, top=3)
        for found in patches_of(answers, network, pictures, list(range(len(answers)))):
            for patch in found.patches:
                images = network.preprocess.finish(torch.from_numpy(pool[patch.item : patch.item + 1]))
                images.requires_grad_()
                output = inside.play(images, keep=[layer], until=layer).kept[layer]
                answer = output[(0, found.channel, *patch.position)]
                assert float(answer.detach()) == pytest.approx(patch.value, rel=1e-4)
                slope = torch.autograd.grad(answer, images)[0][0, 0]
                top, left, bottom, right = patch.field
                within = torch.zeros_like(slope, dtype=torch.bool)
                within[max(top, 0) : bottom, max(left, 0) : right] = True
                assert not slope[~within].any()
                noise = torch.where(within, images.detach(), torch.rand_like(slope) * 255)
                again = inside.play(noise, keep=[layer], until=layer).kept[layer]
                torch.testing.assert_close(again[(0, found.channel, *patch.position)], answer.detach())
                assert patch.box == patch.field
                assert patch.pixels.shape[:2] == patch.projection.shape[:2] == (bottom - top, right - left)
                expected = np.pad(pool[patch.item], ((9, 9), (9, 9), (0, 0)))  # the mean is 0 here
                assert (patch.pixels == expected[top + 9 : bottom + 9, left + 9 : right + 9]).all()
                over_the_edge += top < 0 or left < 0 or bottom > size or right > size
    assert over_the_edge > 3


def test_the_field_is_not_a_pixel_too_large(network_of: Any) -> None:
    module = chain()
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            part.weight.data.fill_(1.0)  # nothing cancels, and no ReLU closes
    network = network_of(module, 24, 24)
    inside = Inside.of(network)
    images = torch.ones(1, 1, 24, 24, requires_grad=True)
    for layer in ("0", "2", "4"):
        output = inside.play(images, keep=[layer], until=layer).kept[layer]
        middle = (output.shape[2] // 2, output.shape[3] // 2)
        slope = torch.autograd.grad(output[(0, 0, *middle)], images)[0][0, 0]
        rows, columns = slope.nonzero(as_tuple=True)
        edges = (int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1)
        assert field_of(inside.trace[layer], middle) == edges


def test_cutting_over_the_edge_by_hand() -> None:
    array = np.arange(12).reshape(2, 3, 2)
    part = cut(array, (-1, 1, 2, 4), np.array([-1, -2]))
    assert part[:, :, 0].tolist() == [[-1, -1, -1], [2, 4, -1], [8, 10, -1]]
    assert part[0, 0].tolist() == [-1, -2]
    part[:] = 0
    assert array[0, 1, 0] == 2  # it was a copy


def test_a_field_larger_than_the_picture_shows_it_whole_and_outlined(small_network: Network, pictures_of: Any) -> None:
    pool = np.random.default_rng(1).integers(0, 256, (14, 32, 32, 3), dtype=np.uint8)
    pictures = pictures_of(small_network, pool)
    assert min(Inside.of(small_network).layer("stage3").receptive_field) > 32
    (found,) = top_patches(small_network, pictures, "stage3", [3], top=4)
    for patch in found.patches:
        assert patch.pixels.shape == (32, 32, 3)
        assert patch.projection.shape == (32, 32, 3)
        assert patch.outline == support_of(patch.projection)
        assert (patch.pixels == pool[patch.item]).all()


def test_a_layer_without_positions_has_one_that_sees_everything(small_network: Network, pictures_of: Any) -> None:
    pool = np.random.default_rng(1).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    head = Inside.of(small_network).trace.layers[-1].name
    (found,) = top_patches(small_network, pictures_of(small_network, pool), head, [1], top=2)
    logits = small_network.logits(small_network.preprocess.finish(torch.from_numpy(pool)), device="cpu")
    assert [patch.item for patch in found.patches] == logits[:, 1].argsort(descending=True)[:2].tolist()
    assert all(patch.position == (0, 0) and patch.pixels.shape == (32, 32, 3) for patch in found.patches)


def test_the_strongest_channels_come_first_and_more_than_a_batch_is_cut(
    small_network: Network, pictures_of: Any
) -> None:
    pool = np.random.default_rng(2).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    pictures = pictures_of(small_network, pool)
    found = top_patches(small_network, pictures, "stage1", top=3)
    assert 3 * len(found) > BATCH
    means = [np.mean([patch.value for patch in channel.patches]) for channel in found]
    assert means == sorted(means, reverse=True)
    again = top_patches(small_network, pictures, "stage1", [found[-1].channel], top=3)[0]
    for one, other in zip(found[-1].patches, again.patches, strict=True):
        assert one.item == other.item
        np.testing.assert_allclose(one.projection, other.projection, rtol=1e-4, atol=1e-5)


def test_a_projections_support_by_hand() -> None:
    projection = np.zeros((5, 6, 3), np.float32)
    assert support_of(projection) is None
    projection[1, 2, 0], projection[3, 4, 1], projection[4, 5, 2] = -10, 1, 0.9  # the last is below a tenth
    assert support_of(projection) == (1, 2, 4, 5)


def test_bad_settings_are_refused(small_network: Network, pictures_of: Any) -> None:
    pictures = pictures_of(small_network, np.zeros((2, 32, 32, 3), np.uint8))
    with pytest.raises(UnknownName, match="no layer is called 'stagee1'"):
        top_patches(small_network, pictures, "stagee1")
    with pytest.raises(InputError, match="has no channel 16; it has 16, numbered from 0"):
        top_patches(small_network, pictures, "stage1", [0, 16])
    with pytest.raises(InputError, match="has no channel -1"):
        top_patches(small_network, pictures, "stage1", [-1])
    with pytest.raises(InputError, match="channels is 'best'; expected numbers of channels, or 'strongest'"):
        top_patches(small_network, pictures, "stage1", "best")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="channels is empty"):
        top_patches(small_network, pictures, "stage1", [])
    with pytest.raises(UnknownName, match="no rule is called 'deconv'"):
        top_patches(small_network, pictures, "stage1", [0], rule="deconv")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_patches_of_every_registered_network_hold_what_their_answers_depend_on(name: str, pictures_of: Any) -> None:
    torch.manual_seed(0)
    network = Network.create(name, list("abcdefghij"))
    for part in network.module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)  # where a residual starts at zero nothing would be seen of it
    size = network.preprocess
    shape = (3, size.store_height, size.store_width, size.channels)
    pool = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    pictures = pictures_of(network, pool)
    inside = Inside.of(network)
    for layer in (stages(inside)[0].name, stages(inside)[-1].name):
        answers = strongest(network, pictures, layer, top=2)
        channels = answers.liveliest(2) or [0]
        for found in patches_of(answers, network, pictures, channels, inside=inside, rule="gradient"):
            for patch in found.patches:
                images = network.preprocess.finish(torch.from_numpy(pool[patch.item : patch.item + 1]))
                kept = inside.play(images, keep=[layer], until=layer).kept[layer]
                assert float(kept[(0, found.channel, *patch.position)]) == pytest.approx(
                    patch.value, rel=1e-2, abs=1e-4
                )
                top, left, bottom, right = patch.field
                changed = torch.randn_like(images)
                changed[..., max(top, 0) : bottom, max(left, 0) : right] = images[
                    ..., max(top, 0) : bottom, max(left, 0) : right
                ]
                again = inside.play(changed, keep=[layer], until=layer).kept[layer]
                torch.testing.assert_close(
                    again[(0, found.channel, *patch.position)],
                    kept[(0, found.channel, *patch.position)],
                    rtol=1e-4,
                    atol=1e-5,
                )
