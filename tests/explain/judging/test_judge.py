"""The judgement end to end: its table and sentences, data sets, boxes, bad pictures, and that nothing is changed."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from glassnet.data.index import scan
from glassnet.data.pictures import load_pictures
from glassnet.errors import DataError, InputError, UnknownName
from glassnet.explain.judging import Verdict, judge
from glassnet.explain.judging.verdict import Estimate, Row, mean_of, share_of
from glassnet.models import Network


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), np.uint8))


def quick(network: Network, pictures: object, methods: list[str], **options: object) -> Verdict:
    return judge(network, pictures, methods, steps=4, sanity=options.pop("sanity", 0), **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_judgement_end_to_end(small_network: Network, pictures: list[np.ndarray]) -> None:
    before = copy.deepcopy(small_network.module.state_dict())
    state, modes = torch.get_rng_state(), [module.training for module in small_network.module.modules()]
    told: list[tuple[int, int]] = []
    boxes = [[[0, 0, 16, 16]], None, [[0, 0, 32, 32]]]
    verdict = quick(
        small_network,
        pictures,
        ["gradcam", "gradient", "guided"],
        boxes=boxes,
        sanity=2,
        settings={"gradcam": {"layer": "stage2"}},
        progress=lambda done, whole: told.append((done, whole)),
    )
    assert [row.method for row in verdict.rows] == ["gradcam", "gradient", "guided", "random", "random_pixels"]
    assert told == [(number, 9) for number in range(1, 10)]
    for row in verdict.rows:
        assert row.deletion.low <= row.deletion.mean <= row.deletion.high
        assert row.net.mean == pytest.approx(row.insertion.mean - row.deletion.mean)
        assert row.pointing is not None
        assert 0.5 <= row.pointing.mean <= 1  # the last picture's box is all of it
        assert row.is_random == (row.correlations is None)
    correlations = verdict.rows[0].correlations
    assert correlations is not None
    assert len(correlations) == 3
    assert all(abs(value) < 0.999 for value in correlations)
    assert "over 3 pictures" in verdict.sentence
    assert set(verdict.table()[0]) >= {"method", "deletion", "pointing", "inside boxes", "weights random"}
    assert json.loads(json.dumps(verdict.to_dict()))["pictures"] == 3
    assert torch.equal(torch.get_rng_state(), state)
    assert modes == [module.training for module in small_network.module.modules()]
    assert all(torch.equal(before[name], tensor) for name, tensor in small_network.module.state_dict().items())


def test_it_repeats(small_network: Network, pictures: list[np.ndarray]) -> None:
    once, again = (quick(small_network, pictures, ["gradient"]) for _ in range(2))
    assert once.rows[0].deletion == again.rows[0].deletion
    assert once.rows[1] == again.rows[1]
    assert "pointing" not in once.table()[0]
    assert "weights random" not in once.table()[0]


def test_labels_and_the_most_pictures(small_network: Network, pictures: list[np.ndarray]) -> None:
    owl = quick(small_network, pictures, ["gradient"], labels=["owl"] * 3, at_most=1)
    cat = quick(small_network, pictures, ["gradient"], labels=["cat"] * 3, at_most=1)
    assert owl.pictures == 1
    assert "on one picture, which is an anecdote" in owl.sentence
    assert owl.rows[0].deletion != cat.rows[0].deletion


def test_a_data_sets_pictures() -> None:
    torch.manual_seed(0)
    network = Network.create("sprint_s", [str(number) for number in range(10)])
    index = scan("fashion-mini")
    found = load_pictures(index, network.preprocess, cache=False)
    boxes = [[[0, 0, 28, 28]]] * len(found)
    verdict = quick(network, found, ["gradcam"], at_most=2, boxes=boxes)
    assert verdict.pictures == 2
    assert verdict.rows[0].inside is not None
    other = Network.create("resnet20_cifar", ["a"])
    with pytest.raises(InputError, match=r"decoded for another network; load them with this one's preprocess"):
        quick(other, found, ["gradcam"])


def test_bad_pictures_are_listed(small_network: Network, pictures: list[np.ndarray], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    verdict = quick(small_network, [broken, pictures[0]], ["gradient"])
    assert verdict.pictures == 1
    assert verdict.skipped[0][0] == str(broken)
    with pytest.raises(DataError, match=r"none of 1 pictures could be read, the first because:"):
        quick(small_network, [broken], ["gradient"])


def test_what_is_refused(small_network: Network, pictures: list[np.ndarray]) -> None:
    with pytest.raises(UnknownName, match=r"no method is called 'gradcm'; nearest: gradcam"):
        quick(small_network, pictures, ["gradcm"])
    with pytest.raises(InputError, match=r"no methods were named; expected some, as gradcam"):
        quick(small_network, pictures, [])
    with pytest.raises(InputError, match=r"Grad-CAM takes no setting 'layers'"):
        quick(small_network, pictures, ["gradcam"], settings={"gradcam": {"layers": "auto"}})
    with pytest.raises(InputError, match=r"settings are given for rise, which is not among the methods: gradcam"):
        quick(small_network, pictures, ["gradcam"], settings={"rise": {}})
    with pytest.raises(InputError, match=r"Deconvnet of stage1.* explains no class here"):
        quick(small_network, pictures, ["deconvnet"], settings={"deconvnet": {"layer": "stage1"}})
    with pytest.raises(InputError, match=r"2 labels for 3 pictures; expected one for each"):
        quick(small_network, pictures, ["gradcam"], labels=[0, 1])
    with pytest.raises(InputError, match=r"1 boxes for 3 pictures; expected one for each"):
        quick(small_network, pictures, ["gradcam"], boxes=[None])
    with pytest.raises(InputError, match=r"one picture came \('cat.jpg'\); expected several, in a list"):
        quick(small_network, "cat.jpg", ["gradcam"])
    with pytest.raises(DataError, match=r"there is no picture to judge the methods on"):
        quick(small_network, [], ["gradcam"])
    with pytest.raises(InputError, match=r"at_most is 0; expected at least 1"):
        quick(small_network, pictures, ["gradcam"], at_most=0)
    with pytest.raises(InputError, match=r"sanity is -1; expected at least 0"):
        quick(small_network, pictures, ["gradcam"], sanity=-1)
    with pytest.raises(InputError, match=r"tolerance is nan; expected pixels, at least 0"):
        quick(small_network, pictures, ["gradcam"], tolerance=float("nan"))


def row(title: str, net: float, over: float | None, alike: float) -> Row:
    flat = Estimate(0.5, 0.4, 0.6)
    return Row(
        method=title,
        title=title,
        deletion=flat,
        insertion=flat,
        net=Estimate(net, net - 0.1, net + 0.1),
        over_random=None if over is None else Estimate(over, over - 0.1, over + 0.1),
        pointing=None,
        inside=None,
        correlations=None if over is None else (0.9, 0.5, alike),
        seconds=0.1,
    )


def test_the_finding_in_words() -> None:
    rows = (row("Good", 0.6, 0.5, 0.1), row("Blind", 0.3, 0.2, 0.8), row("Lucky", 0.1, 0.05, 0.0))
    verdict = Verdict(network="Net", pictures=9, rows=(*rows, row("Random map", 0.1, None, 0.0)))
    assert verdict.sentences == [
        "Good puts first what Net needs most, over 9 pictures: insertion - deletion 0.60 (0.50 to 0.70), where a "
        "random map has 0.10.",
        "Not shown to be better than a random map: Lucky.",
        "Hardly changed when all weights were random, so they show the picture, not the reason: Blind (0.80).",
    ]
    honest = Verdict(network="Net", pictures=9, rows=(rows[0], row("Random map", 0.1, None, 0.0)))
    assert honest.sentences[1:] == ["Every method's map changed when all weights were random, as it must."]


def test_intervals() -> None:
    found = mean_of([0.0, 1.0] * 50)
    assert found.mean == 0.5
    assert found.high - found.low == pytest.approx(4 * 0.05, rel=0.15)  # 1.96 standard errors of 0.5 / 10 each way
    assert mean_of([0.3]) == Estimate(0.3, 0.3, 0.3)
    assert share_of([True] * 5).low == pytest.approx(0.57, abs=0.01)
