"""Calibration: by hand, then torch's and torchmetrics' values, then a temperature that is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from glassnet.errors import InputError
from glassnet.evaluation import calibration


def overconfident(temperature: float, n: int = 20_000, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `temperature` times too large for the labels drawn from them."""
    generator = np.random.default_rng(0)
    honest = generator.normal(size=(n, classes)) * 2
    uniform = generator.random((n, 1))
    labels = (calibration.softmax(honest).cumsum(1) < uniform).sum(1)
    return honest * temperature, labels


def test_reliability_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [1.0, 0.0]])
    result = calibration.reliability(probabilities, np.array([0, 1, 1, 0]), bins=5)
    assert result.counts.tolist() == [0, 0, 1, 1, 2]
    assert result.confidence == pytest.approx([0, 0, 0.6, 0.8, 0.95])
    assert result.accuracy == pytest.approx([0, 0, 1, 0, 1])
    assert result.error == pytest.approx((0.4 + 0.8 + 2 * 0.05) / 4)


def test_softmax_and_loss_equal_torch() -> None:
    logits = np.array([[1000.0, 0.0, -1000.0], [0.5, 0.2, 0.1]])
    labels = np.array([0, 2])
    tensor = torch.tensor(logits) / 2.5
    assert calibration.softmax(logits, 2.5) == pytest.approx(torch.softmax(tensor, 1).numpy())
    reference = torch.nn.functional.cross_entropy(tensor, torch.tensor(labels), reduction="none")
    assert calibration.cross_entropy(logits, labels, 2.5) == pytest.approx(reference.numpy())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_error_equals_torchmetrics(seed: int) -> None:
    generator = np.random.default_rng(seed)
    probabilities = calibration.softmax(generator.normal(size=(60, 4)))
    labels = generator.integers(0, 4, 60)
    reference = multiclass_calibration_error(torch.tensor(probabilities), torch.tensor(labels), 4, n_bins=15)
    ours = calibration.expected_calibration_error(probabilities, labels)
    assert ours == pytest.approx(float(reference), abs=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_found_and_repairs_the_error(temperature: float) -> None:
    logits, labels = overconfident(temperature)
    found = calibration.fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.03)
    after = calibration.expected_calibration_error(calibration.softmax(logits, found), labels)
    assert after < 0.02
    best = calibration.cross_entropy(logits, labels, found).mean()
    for other in (found * 0.98, found * 1.02):
        assert best < calibration.cross_entropy(logits, labels, other).mean()


def test_temperature_of_a_perfect_and_of_a_hopeless_split_stays_finite() -> None:
    logits = np.eye(4) * 10
    assert calibration.fit_temperature(logits, np.arange(4)) == pytest.approx(calibration.TEMPERATURES[0])
    assert calibration.fit_temperature(logits, (np.arange(4) + 1) % 4) == pytest.approx(calibration.TEMPERATURES[1])


def test_constant_logits_have_no_preference() -> None:
    assert np.isfinite(calibration.fit_temperature(np.zeros((3, 2)), np.array([0, 1, 0])))


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InputError, match="nothing to judge"):
        calibration.fit_temperature(np.zeros((0, 2)), np.zeros(0, int))
    with pytest.raises(InputError, match="bins must be at least 1; got 0"):
        calibration.reliability(np.ones((1, 1)), np.zeros(1, int), bins=0)
