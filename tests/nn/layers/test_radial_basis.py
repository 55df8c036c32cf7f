"""The output of LeNet-5: codes that look like digits, distances by hand, and what softmax makes of them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from glassnet.errors import InputError
from glassnet.nn.layers.radial_basis import CODE, RadialBasisOutput, digit_codes, random_codes


def differing(codes: torch.Tensor) -> torch.Tensor:
    """In how many places each two codes differ, (K, K), with a large number on the diagonal."""
    return (CODE - codes @ codes.T) / 2 + 1000 * torch.eye(len(codes))


def test_the_digits_are_pictures_of_seven_by_twelve() -> None:
    codes = torch.tensor(digit_codes())
    assert codes.shape == (10, 84)
    assert set(codes.flatten().tolist()) == {-1.0, 1.0}
    seven = codes[7].view(12, 7) > 0
    assert seven[0].all(), "a seven has a bar on top"
    assert not seven[-1, 4:].any(), "and ends on the left"
    assert (codes[0].view(12, 7) == codes[0].view(12, 7).flip(1)).all(), "a zero is its own mirror image"
    assert differing(codes).min() >= 6, "no two digits look the same"
    assert differing(codes)[3, 9] < differing(codes)[1, 0], "those that look alike are near each other"


def test_distances_by_hand() -> None:
    output = RadialBasisOutput(2, 3, variance=1.0)
    output.codes.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]))
    x = torch.tensor([[1.0, 1.0], [0.0, 3.0]])
    assert output.distances(x).tolist() == [[0.0, 4.0, 8.0], [5.0, 17.0, 17.0]]
    assert output(x).tolist() == [[0.0, -2.0, -4.0], [-2.5, -8.5, -8.5]]
    four = RadialBasisOutput(4, 2)  # the variance is sqrt(4) = 2 unless told
    assert four(four.codes + 1.0)[0, 0].item() == -4 / (2 * 2)


def test_a_code_is_its_own_class() -> None:
    output = RadialBasisOutput(CODE, 10)
    noisy = output.codes + 0.5 * torch.randn(10, CODE, generator=torch.Generator().manual_seed(0))
    assert output(noisy).argmax(1).tolist() == list(range(10))


def test_the_codes_are_fixed_and_travel_with_the_network() -> None:
    torch.manual_seed(0)
    first = RadialBasisOutput(CODE, 7)
    torch.manual_seed(1)
    second = RadialBasisOutput(CODE, 7)
    assert torch.equal(first.codes, second.codes)
    assert list(first.parameters()) == []
    assert list(first.state_dict()) == ["codes"]
    with torch.device("meta"):
        assert RadialBasisOutput(CODE, 10).codes.is_meta


@pytest.mark.parametrize("classes", [2, 100, 1000])
def test_random_codes_lie_far_apart(classes: int) -> None:
    codes = torch.tensor(random_codes(classes, CODE))
    assert codes.shape == (classes, CODE)
    assert differing(codes).min() >= 18  # of 84; half a million pairs have a mean of 42 and a deviation of 4.6


def test_softmax_of_it_is_that_of_a_linear_layer() -> None:
    # -|x - w|^2 / 2 = w x - |w|^2 / 2 - |x|^2 / 2, each over the variance, whose last term is the same for all classes
    torch.manual_seed(0)
    output = RadialBasisOutput(CODE, 10).double()
    x = torch.randn(4, CODE, dtype=torch.float64)
    linear = (x @ output.codes.T - output.codes.square().sum(1) / 2) / 84**0.5
    torch.testing.assert_close(output(x).softmax(1), linear.softmax(1))


def test_with_half_the_variance_it_is_the_papers_criterion() -> None:
    # equation 9 without its constant class: the distance of the true class + log(sum of exp(-distance))
    torch.manual_seed(0)
    output = RadialBasisOutput(CODE, 10, variance=0.5).double()
    x, truth = output.codes[:4] + torch.randn(4, CODE, dtype=torch.float64), torch.tensor([0, 3, 2, 7])
    distances = output.distances(x)
    expected = distances[torch.arange(4), truth] + torch.logsumexp(-distances, 1)
    torch.testing.assert_close(F.cross_entropy(output(x), truth), expected.mean())


def test_its_gradient_points_to_the_code() -> None:
    output = RadialBasisOutput(CODE, 10)
    x = torch.zeros(1, CODE, requires_grad=True)
    output(x)[0, 3].backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad[0], output.codes[3] / 84**0.5)


@pytest.mark.parametrize("features, classes", [(0, 10), (84, 0)])
def test_nothing_to_tell_apart_is_refused(features: int, classes: int) -> None:
    with pytest.raises(InputError, match=f"an output of {classes} classes for {features} features"):
        RadialBasisOutput(features, classes)
