"""Judging a real, if untrained, network: against a plain loop, and every way to ask wrongly."""

import time

import numpy as np
import pytest
import torch

from glassnet.data.index import TEST, Index
from glassnet.data.pictures import Pictures, load_pictures
from glassnet.errors import DataError, InputError
from glassnet.evaluation.judge import class_map, judge, peak_memory, scores, suitable_batch_size
from glassnet.models.network import Network
from glassnet.models.prediction import Predictor
from glassnet.preprocess import Preprocess

CLASSES = ("cat", "dog", "owl")
PREPROCESS = Preprocess(height=32, width=32, channels=1, resize="squash", crop=1.0, mean=(0.4,), std=(0.2,))


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    made = Network.create("resnet18", CLASSES, preprocess=PREPROCESS, stem="small")
    made.card.temperature = 2.0
    return made


def pictures(classes: tuple[str, ...] = CLASSES, n: int = 11, preprocess: Preprocess = PREPROCESS) -> Pictures:
    generator = np.random.default_rng(0)
    index = Index(
        name="toys",
        kind="arrays",
        root=None,
        classes=classes,
        paths=None,
        images=generator.integers(0, 256, (n, 32, 32, 1), dtype=np.uint8),
        labels=np.arange(n) % len(classes),
        splits=np.full(n, TEST, np.int8),
        sizes=np.full((n, 2), 32, np.int32),
        channels=1,
    )
    return load_pictures(index, preprocess)


def slowly(network: Network, given: Pictures, items: np.ndarray, flip: bool = False) -> np.ndarray:
    images = network.preprocess.finish(torch.from_numpy(given.pool[items]))
    with torch.inference_mode():
        logits: np.ndarray = network.module.eval()(images.flip(-1) if flip else images).numpy()
    return logits


def test_scores_equal_a_plain_loop_whatever_the_batch_size(network: Network) -> None:
    given, items = pictures(), np.array([2, 3, 5, 7, 10])
    expected = slowly(network, given, items)
    for batch_size in (1, 2, 256):
        found = scores(network, given, items, batch_size=batch_size, device="cpu")
        assert found.logits == pytest.approx(expected, abs=1e-4)
        assert found.labels.tolist() == given.labels[items].tolist()
        assert found.items.tolist() == items.tolist()
    mirrored = scores(network, given, items, device="cpu", tta=True)
    assert mirrored.logits == pytest.approx((expected + slowly(network, given, items, flip=True)) / 2, abs=1e-4)


def test_the_networks_statistics_count_not_the_pictures(network: Network) -> None:
    others = Preprocess.from_dict({**PREPROCESS.to_dict(), "mean": (0.9,), "std": (0.5,)})
    items = np.arange(3)
    found = scores(network, pictures(preprocess=others), items, device="cpu")
    assert found.logits == pytest.approx(slowly(network, pictures(), items), abs=1e-4)


def test_a_predictor_takes_the_networks_place(network: Network) -> None:
    def always_owl(images: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.0, 1.0, 9.0]).repeat(len(images), 1)

    judgement = judge(network, pictures(n=12), np.arange(12), predictor=always_owl, split="validation")
    assert judgement.accuracy == pytest.approx(1 / 3)
    assert judgement.device == "predictor"
    assert [result.predicted for result in judgement.per_class] == [0, 0, 12]


def test_the_seconds_are_the_networks_alone(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = network.predictor("cpu")

    def slow_to_prepare(_self: Network, _device: object) -> Predictor:
        time.sleep(1.0)
        return prepared

    monkeypatch.setattr(Network, "predictor", slow_to_prepare)
    seconds = scores(network, pictures(), np.arange(2), device="cpu").seconds
    assert seconds is not None
    assert seconds < 0.9, "folding batch norms is not the speed of predictions"
    known = scores(network, pictures(), np.arange(2), answers=lambda _, items: torch.zeros(len(items), 3))
    assert (known.seconds, known.logits.shape) == (None, (2, 3))


def test_the_judgement_knows_whom_it_judges(network: Network) -> None:
    judgement = judge(network, pictures(), np.arange(11), device="cpu")
    assert (judgement.network, judgement.data, judgement.split, judgement.n) == ("resnet18", "toys", "test", 11)
    assert judgement.calibration["after"].temperature == 2.0
    assert judgement.top_losses[0].path.startswith("toys[")
    assert judgement.seconds > 0


def test_classes_are_matched_by_name(network: Network) -> None:
    other_order = pictures(("owl", "cat"))
    found = scores(network, other_order, np.arange(4), device="cpu")
    assert found.labels.tolist() == [2, 0, 2, 0]


def test_unknown_classes_are_named_unless_no_picture_has_them(network: Network) -> None:
    with pytest.raises(DataError, match=r"class 'dogs' is unknown to the network, which knows 3: .*did you mean 'dog'"):
        scores(network, pictures(("cat", "dogs")), np.arange(4))
    with pytest.raises(DataError, match=r"'fish' and 1 more are unknown .*name the folders after its classes"):
        class_map(("fish", "quince"), CLASSES, np.array([0, 1]))
    assert scores(network, pictures(("cat", "fish")), np.array([0, 2]), device="cpu").labels.tolist() == [0, 0]


def test_wrong_arguments_are_named(network: Network) -> None:
    with pytest.raises(InputError, match="no picture to judge"):
        scores(network, pictures(), np.arange(0))
    with pytest.raises(InputError, match="batch_size must be at least 1; got 0"):
        scores(network, pictures(), np.arange(2), batch_size=0)
    large = Preprocess.from_dict({**PREPROCESS.to_dict(), "height": 64, "width": 64})
    with pytest.raises(InputError, match="decoded for another input"):
        scores(network, pictures(preprocess=large), np.arange(2))


@pytest.mark.parametrize("side, expected", [(28, 256), (224, 32), (448, 8), (4000, 1)])
def test_a_batch_of_large_pictures_is_small(side: int, expected: int) -> None:
    assert suitable_batch_size(Preprocess(height=side, width=side)) == expected


def test_peak_memory_is_plausible() -> None:
    found = peak_memory()
    assert found is None or 30e6 < found < 1e12
