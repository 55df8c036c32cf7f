"""Features and the probe: against scikit-learn's logistic regression, the cache, and the whole recipe."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from glassnet.data.index import scan
from glassnet.data.pictures import Pictures, load_pictures
from glassnet.errors import InputError
from glassnet.evaluation.judge import judge
from glassnet.files import cache_folder
from glassnet.models.network import Network
from glassnet.preprocess import Preprocess
from glassnet.report.report import judge_run, judged_items, run_pictures, write_report
from glassnet.training import features as features_module
from glassnet.training import probe as probe_module
from glassnet.training.features import features, weights_key
from glassnet.training.probe import fit_probe
from glassnet.training.progress import Display
from glassnet.training.run import Run
from glassnet.training.train import train

QUIET = Display(quiet=True)


def clouds(count: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three overlapping clouds of points in eight dimensions of very different scales, one of them constant."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    rows = generator.normal(size=(count, 8)) + 1.5 * np.eye(8)[labels]
    rows = rows * np.logspace(-2, 2, 8) + 5
    rows[:, 7] = 3.0
    return rows.astype(np.float32), labels


def test_one_fit_is_scikit_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "REGULARISATIONS", (0.01,))
    monkeypatch.setattr(probe_module, "ROWS", 64)  # in chunks
    (rows, labels), held_out = clouds(), clouds(seed=1)
    probe = fit_probe((rows, labels), held_out, 3)
    scaler = StandardScaler().fit(rows)
    theirs = LogisticRegression(C=1 / (0.01 * len(rows)), tol=1e-8, max_iter=5000).fit(scaler.transform(rows), labels)
    ours = torch.tensor(probe.logits(rows)).softmax(1).numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(scaler.transform(rows)), atol=2e-3)
    assert probe.train_accuracy == pytest.approx(theirs.score(scaler.transform(rows), labels), abs=0.011)


def test_the_regularisation_is_chosen_on_validation() -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(60, 200)).astype(np.float32)
    labels = (rows[:, 0] + generator.normal(size=60) > 0).astype(np.int64)  # one feature says something, 199 nothing
    held_rows = generator.normal(size=(500, 200)).astype(np.float32)
    held = (held_rows, (held_rows[:, 0] > 0).astype(np.int64))
    probe = fit_probe((rows, labels), held, 2)
    assert probe.losses[probe.l2] == min(probe.losses.values())
    assert probe.l2 >= 0.1, "many useless features need a strong regularisation"
    assert len(probe.losses) < 11, "it stops when weaker ones only get worse"


def test_class_weights_move_the_border() -> None:
    rows, labels = clouds()
    plain = fit_probe((rows, labels), None, 3)
    heavy = fit_probe((rows, labels), None, 3, class_weights=torch.tensor([10.0, 1.0, 1.0]))
    assert (heavy.logits(rows).argmax(1) == 0).sum() > (plain.logits(rows).argmax(1) == 0).sum()


@pytest.fixture
def pictures(small_data: Path) -> Pictures:
    index = scan(small_data)
    return load_pictures(index, Preprocess(height=28, width=28, channels=1, crop=1.0))


def counted(seen: list[int]) -> Callable[[Tensor], Tensor]:
    def predictor(images: Tensor) -> Tensor:
        seen.append(len(images))
        return images.flatten(1)[:, :5]

    return predictor


def test_features_are_computed_once(pictures: Pictures) -> None:
    items, seen = pictures.index.select("train"), list[int]()
    first = features(counted(seen), pictures, items, key="once", display=QUIET)
    assert sum(seen) == len(items) == len(first)
    expected = pictures.preprocess.finish(torch.from_numpy(np.asarray(pictures.pool)[items])).flatten(1)[:, :5]
    np.testing.assert_array_equal(first, expected.numpy())
    again = features(counted(seen), pictures, items, key="once", display=QUIET)
    np.testing.assert_array_equal(first, again)
    assert sum(seen) == len(items)


@pytest.mark.parametrize("change", ["key", "items", "mean"])
def test_anything_else_is_computed_anew(pictures: Pictures, change: str) -> None:
    from dataclasses import replace

    items, seen = pictures.index.select("train"), list[int]()
    features(counted(seen), pictures, items, key=f"first {change}", display=QUIET)
    other = replace(pictures, preprocess=replace(pictures.preprocess, mean=(0.1,))) if change == "mean" else pictures
    chosen = items[1:] if change == "items" else items
    features(counted(seen), other, chosen, key="second" if change == "key" else f"first {change}", display=QUIET)
    assert sum(seen) == len(items) + len(chosen)


def test_the_least_recently_used_features_make_room(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    items, seen = pictures.index.select("train"), list[int]()
    for key in ("one", "two"):
        size = features(counted(seen), pictures, items, key=f"room {key}", display=QUIET).nbytes
        time.sleep(0.02)  # files keep the time to a few milliseconds
    features(counted(seen), pictures, items, key="room one", display=QUIET)  # now "two" is the oldest
    monkeypatch.setenv("GLASSNET_CACHE_LIMIT", str(2 * (size + 128)))  # with NumPy's header: room for two
    features(counted(seen), pictures, items, key="room three", display=QUIET)
    computed = len(seen)
    features(counted(seen), pictures, items, key="room one", display=QUIET)
    assert len(seen) == computed, "the one used last is still there"
    features(counted(seen), pictures, items, key="room two", display=QUIET)
    assert len(seen) > computed, "the oldest made room"


def test_a_killed_computation_goes_on(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_module, "FLUSH_EVERY", 0.0)
    items, seen = pictures.index.select("train"), list[int]()
    predictor = counted(seen)

    def killed(images: Tensor) -> Tensor:
        if len(seen) == 3:
            raise KeyboardInterrupt
        return predictor(images)

    with pytest.raises(KeyboardInterrupt):
        features(killed, pictures, items, key="killed", display=QUIET)
    found = features(predictor, pictures, items, key="killed", display=QUIET)
    assert sum(seen) == len(items), "nothing was computed twice"
    fresh = features(counted([]), pictures, items, key="not killed", display=QUIET)
    np.testing.assert_array_equal(found, fresh)


def test_a_hash_of_weights_sees_every_bit() -> None:
    module = nn.Linear(3, 2)
    before = weights_key(module)
    assert weights_key(module) == before
    with torch.no_grad():
        module.bias[1] = torch.nextafter(module.bias[1], torch.tensor(9.0))
    assert weights_key(module) != before


def probe_run(data: Path, output: Path, start_from: Path, **choices: Any) -> Run:
    return train(data, output=output, start_from=start_from, threads=1, precision="fp32", quiet=True, **choices)


@pytest.fixture(scope="module")
def trained(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    output = tmp_path_factory.mktemp("trained") / "run"
    return train(small_data, output=output, network="tiny", recipe="quick", threads=1, precision="fp32", quiet=True)


def test_the_recipe_transfer(small_data: Path, tmp_path: Path, trained: Run) -> None:
    run = probe_run(small_data, tmp_path / "run", trained.network_path, recipe="transfer")
    (line,) = run.metrics()
    assert (line["step"], line["best"]) == (0, True)
    assert line["validation_accuracy"] >= max(each["validation_accuracy"] for each in trained.metrics()) - 0.1
    before, after = trained.network.module.state_dict(), run.network.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("body."))
    assert not torch.equal(before["head.weight"], after["head.weight"])
    index, network = run.index(), run.network
    items = index.select("validation")
    said = network.predict([index.source(item) for item in items], device="cpu")
    hits = [one.label == index.classes[index.labels[item]] for one, item in zip(said, items, strict=True)]
    assert np.mean(hits) == pytest.approx(line["validation_accuracy"], abs=0.03)


def test_a_probed_network_is_judged_from_features_as_by_itself(
    small_data: Path, tmp_path: Path, trained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = probe_run(small_data, tmp_path / "run", trained.network_path, recipe="transfer")
    pictures = run_pictures(run)
    from_features = judge_run(run, pictures, device="cpu")
    _, items = judged_items(pictures.index)
    itself = judge(run.network, pictures, items, device="cpu")
    assert from_features.seconds is None, "no speed is claimed of a network that did not run"
    assert (from_features.accuracy, from_features.confusion) == (itself.accuracy, itself.confusion)
    losses = [[loss.loss for loss in each.top_losses] for each in (from_features, itself)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    write_report(run, explain=False)
    assert "from kept features" in run.report.read_text(encoding="utf-8")
    assert "None" not in run.report.read_text(encoding="utf-8").split("<script")[0]
    # Another probe of the same body, on the same pictures: the body has nothing left to do.
    monkeypatch.setattr(probe_module, "fold_batch_norm", None)
    overrides = {"label_smoothing": 0.2}
    again = probe_run(small_data, tmp_path / "again", trained.network_path, recipe="transfer", overrides=overrides)
    assert not torch.equal(again.network.module.head.weight, run.network.module.head.weight)
    assert judge_run(again, run_pictures(again), device="cpu").n == itself.n


@pytest.mark.slow
def test_a_probe_does_not_wait_for_torchs_compiler(
    small_data: Path, tmp_path: Path, without_compiler: Callable[..., None]
) -> None:
    Network.create("sprint_s", ["a", "b"]).save(tmp_path / "old.safetensors")
    words = ["train", str(small_data), "--from", str(tmp_path / "old.safetensors"), "--recipe", "transfer"]
    without_compiler(*words, "--output", str(tmp_path / "run"), "--quiet", "--no-explain")


def test_fine_tuning_goes_on_from_the_probe(small_data: Path, tmp_path: Path, trained: Run) -> None:
    overrides = {"batch_size": 32, "crop_scale": 0.0, "freeze": 0.3}
    run = probe_run(small_data, tmp_path / "run", trained.network_path, recipe="best", epochs=1, overrides=overrides)
    probe, tuned = run.metrics()
    assert (probe["step"], tuned["epoch"]) == (0, 1)
    best = max((probe, tuned), key=lambda line: line["validation_score"])
    assert run.network.card.metrics["validation_accuracy"] == best["validation_score"]


def test_a_predictor_of_ones_own(small_data: Path, tmp_path: Path, trained: Run) -> None:
    """The features come from the predictor, and the head is fitted to them: here to rubbish."""
    shapes: list[tuple[int, ...]] = []

    def rubbish(images: Tensor) -> Tensor:
        shapes.append(tuple(images.shape[1:]))
        return torch.zeros(len(images), 64)

    run = probe_run(small_data, tmp_path / "run", trained.network_path, recipe="transfer", predictor=rubbish)
    assert set(shapes) == {(1, 28, 28)}
    assert run.metrics()[0]["validation_accuracy"] < 0.3
    head = safetensors.torch.load_file(run.network_path)["head.weight"]
    assert torch.equal(head, torch.zeros_like(head))
    assert list(cache_folder("features").iterdir())


def test_a_head_that_scores_positions_becomes_linear_for_the_probe(small_data: Path, tmp_path: Path) -> None:
    """Of a rectified one the probe's logits would not be the network's."""
    choices: dict[str, Any] = {"network": "nin_cifar", "arguments": {"width": 0.05}, "threads": 1, "precision": "fp32"}
    run = train(small_data, output=tmp_path / "run", recipe="transfer", quiet=True, **choices)
    (line,) = run.metrics()
    index, network = run.index(), run.network
    assert network.card.arguments["rectify"] is False
    items = index.select("validation")
    said = network.predict([index.source(item) for item in items], device="cpu", top=1)
    hits = [one.label == index.classes[index.labels[item]] for one, item in zip(said, items, strict=True)]
    assert np.mean(hits) == pytest.approx(line["validation_accuracy"], abs=0.03)
    assert np.mean(hits) > 0.3, "ten classes, and features of random filters"


def test_a_head_of_fixed_codes_has_no_probe(small_data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="probe needs a network with a body and a linear head"):
        train(small_data, output=tmp_path / "run", network="lenet5_1998", recipe="transfer", quiet=True)
