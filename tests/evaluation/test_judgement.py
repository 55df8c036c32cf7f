"""The judgement: its numbers, its journey through JSON, and its sentences."""

import json

import numpy as np
import pytest
import sklearn.metrics

from glassnet.errors import InputError
from glassnet.evaluation.judgement import Judgement, confused_pairs, summarise

CLASSES = ("cat", "dog", "owl")


def judge(confusion: list[list[int]], **choices: float) -> Judgement:
    """A judgement with exactly this confusion matrix, each answer given with logit 2."""
    cells = [(true, called) for true, row in enumerate(confusion) for called, n in enumerate(row) for _ in range(n)]
    labels = np.array([true for true, _ in cells])
    logits = np.eye(len(confusion))[[called for _, called in cells]] * 2
    return summarise(
        logits, labels, CLASSES[: len(confusion)], items=np.arange(len(cells)) + 100, where="{}.jpg".format, **choices
    )


def random_judgement(classes: int = 12, n: int = 500) -> tuple[Judgement, np.ndarray, np.ndarray]:
    """A judgement of noisy logits, with the logits and labels it is of."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, n)
    logits = generator.normal(size=(n, classes)) + 2 * np.eye(classes)[labels]
    names = [f"class {number}" for number in range(classes)]
    return summarise(logits, labels, names, items=np.arange(n), where=str, temperature=0.8), logits, labels


def test_numbers_equal_scikit_learn() -> None:
    judgement, logits, labels = random_judgement()
    called = logits.argmax(1)
    assert judgement.n == 500
    assert judgement.accuracy == pytest.approx(sklearn.metrics.accuracy_score(labels, called))
    assert judgement.macro_f1 == pytest.approx(sklearn.metrics.f1_score(labels, called, average="macro"))
    assert judgement.top5 == pytest.approx(sklearn.metrics.top_k_accuracy_score(labels, logits, k=5))
    after = np.exp(logits / 0.8)
    after /= after.sum(1, keepdims=True)
    assert judgement.calibration["after"].loss == pytest.approx(sklearn.metrics.log_loss(labels, after))
    area = sklearn.metrics.average_precision_score(labels == 3, after[:, 3])
    assert judgement.per_class[3].average_precision == pytest.approx(area)
    assert judgement.per_class[3].roc_auc == pytest.approx(sklearn.metrics.roc_auc_score(labels == 3, after[:, 3]))
    low, high = judgement.accuracy_interval
    assert low < judgement.accuracy < high
    low, high = judgement.macro_f1_interval
    assert low < judgement.macro_f1 < high


def test_it_survives_json() -> None:
    judgement, _, _ = random_judgement()
    text = json.dumps(judgement.to_dict(), allow_nan=False)
    assert Judgement.from_dict(json.loads(text)) == judgement


@pytest.mark.parametrize("plain", [{"n": 3}, {"accuracy": 1, "shoe": 2}, {"per_class": 7}])
def test_foreign_json_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(InputError, match="not a judgement that this version wrote"):
        Judgement.from_dict(plain)


def test_only_the_hardest_classes_are_drawn() -> None:
    judgement, _, _ = random_judgement()
    areas = sorted(result.average_precision for result in judgement.per_class if result.average_precision)
    assert sorted(curve.area for curve in judgement.precision_recall if curve.area) == areas[:10]
    assert [curve.name for curve in judgement.roc] == [curve.name for curve in judgement.precision_recall]


def test_top_losses_and_confused_pairs() -> None:
    judgement = judge([[8, 2, 0], [1, 3, 0], [0, 1, 0]])
    first = judgement.top_losses[0]
    assert (first.path, first.item, first.label, first.predicted) == ("108.jpg", 108, "cat", "dog")
    odds = np.exp(2)
    assert first.probability == pytest.approx(odds / (odds + 2))
    assert first.loss == pytest.approx(np.log(odds + 2))
    assert [(pair.label, pair.predicted, pair.count) for pair in judgement.confused_pairs] == [
        ("cat", "dog", 2),
        ("dog", "cat", 1),
        ("owl", "dog", 1),
    ]
    assert judgement.confused_pairs[0].share == 0.2
    assert confused_pairs(np.diag([3, 4]), "ab") == []


def test_sentences_on_unbalanced_data() -> None:
    said = judge([[90, 2, 0], [5, 3, 0], [0, 1, 0]]).sentences()
    assert said["accuracy"].startswith("93 of 101 pictures get the right answer: 92.1%")
    assert "Always answering “cat” would be right for 91.1%." in said["accuracy"]
    assert "“cat” has 92.0 times as many pictures as “owl”" in said["accuracy"]
    assert "With every class counted the same it is 45.1%." in said["accuracy"]
    assert (
        "Trust “dog” least: of 6 pictures called so, 3 (50.0%) are something else, mostly “cat”." in said["precision"]
    )
    assert "It never answers “owl”." in said["precision"]
    assert "“owl” is missed most: 1 of 1 picture (100%) is called something else." in said["recall"]
    assert "Only 1 picture, so this is rough." in said["recall"]


def test_sentences_on_balanced_and_on_perfect_data() -> None:
    assert "Every class has equally many" in judge([[20, 5], [2, 23]]).sentences()["accuracy"]
    assert "of similar size" in judge([[20, 5], [2, 24]]).sentences()["accuracy"]
    perfect = judge([[5, 0], [0, 5]]).sentences()
    assert "No answer was wrong." in perfect["precision"]
    assert "None was missed." in perfect["recall"]
    assert "between 72.2% and 100%" in perfect["accuracy"]
    assert "of one class" in judge([[5, 1], [0, 0]]).sentences()["accuracy"]


def test_sentence_on_calibration() -> None:
    said = judge([[6, 4], [4, 6]], temperature=5.0).sentences()["calibration"]
    assert "claims 59.9% and is right 60.0% of the time: its confidence can be taken at its word." in said
    assert "With only 20 pictures this is rough." in said
    assert "Temperature 5.00" in said
    assert "over-confident; treat" in judge([[6, 4], [4, 6]]).sentences()["calibration"]
    assert "under-confident; treat" in judge([[10, 0], [0, 10]]).sentences()["calibration"]
    assert "a little over-confident" in judge([[84, 16], [16, 84]]).sentences()["calibration"]
    assert "this is rough" not in judge([[550, 0], [0, 550]]).sentences()["calibration"]


def test_calibration_right_on_average_but_uneven() -> None:
    labels = np.array([0] * 20)
    logits = np.array([[3.0, 0.0]] * 10 + [[1.0, 0.0]] * 10)  # claims 95 % and 73 %
    logits[:3] = [[0.0, 3.0]]  # of the 95 % only seven in ten are right, of the 73 % all
    said = summarise(logits, labels, ("cat", "dog"), items=np.arange(20), where=str).sentences()["calibration"]
    assert "right on average, though a single claim can be off" in said


def test_a_class_without_pictures_has_no_area() -> None:
    owl = judge([[5, 1, 0], [1, 5, 1], [0, 0, 0]]).per_class[2]
    assert owl.average_precision is None
    assert owl.roc_auc is None
    assert owl.support == 0


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InputError, match="a score for each of 3 classes; got 2"):
        summarise(np.zeros((1, 2)), np.zeros(1, int), CLASSES, items=np.arange(1), where=str)
    with pytest.raises(InputError, match="nothing to judge"):
        summarise(np.zeros((0, 3)), np.zeros(0, int), CLASSES, items=np.arange(0), where=str)
