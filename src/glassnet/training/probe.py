"""The linear probe: a logistic regression on a frozen body's features, which becomes the network's head.

Features of a good body are often linearly separable for new classes (Donahue et al. 2014, arXiv:1310.1531), so a
probe is a strong network, trained in seconds; how strongly it is regularised matters (Kornblith et al. 2019,
arXiv:1805.08974) and is chosen on the validation pictures.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from glassnet.data.pictures import Pictures
from glassnet.errors import InputError
from glassnet.evaluation.calibration import cross_entropy
from glassnet.evaluation.judge import Answers
from glassnet.models.network import Network
from glassnet.nn.fuse import fold_batch_norm
from glassnet.training.checkpoint import Learner
from glassnet.training.classification import PreparedClassification
from glassnet.training.features import Predictor, features, weights_key
from glassnet.training.loop import Job
from glassnet.training.progress import Display
from glassnet.training.task import Classification

ROWS = 32_768  # rows of features that one product takes, so that memory stays small for large data
REGULARISATIONS = tuple(float(value) for value in np.logspace(0, -5, 11))  # strong to weak, half a decade apart
PATIENCE = 2  # weaker regularisations tried after the best one


def probe_first(
    learner: Learner, prepared: PreparedClassification, job: Job, display: Display, predictor: Predictor | None
) -> None:
    """Fit the head of the learner's network to the frozen body's features, and count that as its first validation.

    predictor: computes the features in place of the body. Raises `InputError` for a network without a linear head.
    """
    head = getattr(learner.module, "head", None)
    if not isinstance(head, nn.Linear):
        raise InputError("probe needs a network with a body and a linear head")
    task = prepared.task()
    index, labels = prepared.index, prepared.pictures.labels
    train, validation = index.select("train"), index.select("validation")
    items = np.concatenate([train, validation])
    learner.start_clock()
    table = features(
        predictor or body_predictor(learner.module, job.workers.device, job.autocast),
        prepared.pictures,
        items,
        key=f"{weights_key(learner.module.get_submodule('body'))} {job.plan.precision} {named(predictor)}",
        display=display,
    )
    probe = fit_probe(
        (table[: len(train)], labels[train]),
        (table[len(train) :], labels[validation]) if len(validation) else None,
        len(index.classes),
        class_weights=task.class_weights,
        label_smoothing=task.label_smoothing,
    )
    probe.install(head)
    if learner.average is not None:
        learner.average.module.load_state_dict(learner.module.state_dict())
    learner.tick()
    record(probe, table[len(train) :], labels[validation], task, learner, job, display)


def probed_answers(network: Network, device: torch.device, display: Display) -> Answers:
    """Return what gives a probed network's logits from cached features, for `evaluation.judge`.

    Its body is the frozen one, so that the next probe on the same pictures, of another recipe, need not compute them
    again. Always in float32, as predictions are.
    """
    body, head = network.module.get_submodule("body"), network.module.get_submodule("head")
    predictor, key = body_predictor(network.module, device, nullcontext), f"{weights_key(body)} fp32 body"

    def answer(pictures: Pictures, items: NDArray[np.int64]) -> Tensor:
        table = features(predictor, pictures, items, key=key, display=display)
        logits: Tensor = head(torch.tensor(table))
        return logits

    return answer


def body_predictor(
    module: nn.Module, device: torch.device, autocast: Callable[[], AbstractContextManager[Any]]
) -> Predictor:
    """Return the body of `module` as a fast function, batch norms folded, at the precision of `autocast`."""

    @cache
    def body() -> nn.Module:
        return fold_batch_norm(module.get_submodule("body")).to(device)  # half a second, wasted where all is cached

    def predict(images: Tensor) -> Tensor:
        with autocast():
            found: Tensor = body()(images.to(device))
            return found

    return predict


def named(predictor: Predictor | None) -> str:
    """Return what tells a predictor's features from another's: its `key` attribute, else its qualified name."""
    if predictor is None:
        return "body"
    return str(getattr(predictor, "key", None) or f"{predictor.__module__}.{predictor.__qualname__}")


def record(
    probe: Probe,
    table: NDArray[np.float32],
    labels: NDArray[np.int64],
    task: Classification,
    learner: Learner,
    job: Job,
    display: Display,
) -> None:
    """Write the probe's line of metrics, as step 0, and take it for the best network so far."""
    now = learner.counters
    line: dict[str, Any] = {
        "epoch": 0.0,
        "step": 0,
        "train_loss": probe.train_loss,
        "train_accuracy": probe.train_accuracy,
    }
    line |= {"learning_rate": 0.0, "l2": probe.l2}
    shown = ""
    if len(labels):
        found = task.judge(torch.from_numpy(probe.logits(table)), torch.from_numpy(labels))
        learner.answers = task.answers
        now.note(found["score"], patience=0)
        learner.best = {name: tensor.clone() for name, tensor in learner.judged.state_dict().items()}
        line |= {f"validation_{name}": value for name, value in found.items()} | {"best": True}
        shown = f"validation {found['accuracy']:.1%}  "
    now.marked = now.seconds
    now.history = job.write(line | {"seconds": round(now.seconds, 3)})
    if job.workers.leads:
        tried = f"{len(probe.losses)} regularisations tried in {now.seconds:.1f} s with the features"
        display.say(f"probe  loss {probe.train_loss:.4f}  accuracy {probe.train_accuracy:.1%}  {shown}({tried})")


@dataclass(frozen=True)
class Probe:
    """A linear classifier of features: logits = features @ weight.T + bias; and how it was chosen.

    weight (K, D), bias (K,) float32. l2: the regularisation; losses: mean cross-entropy on validation for each one
    tried; train_loss, train_accuracy: on the features it was fitted to.
    """

    weight: Tensor
    bias: Tensor
    l2: float
    losses: dict[float, float]
    train_loss: float
    train_accuracy: float

    def logits(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits (n, K) of features (n, D)."""
        said: NDArray[np.float32] = rows @ self.weight.numpy().T + self.bias.numpy()
        return said

    def install(self, head: nn.Linear) -> None:
        """Copy into a network's head."""
        with torch.no_grad():
            head.weight.copy_(self.weight)
            head.bias.copy_(self.bias)


def fit_probe(
    train: tuple[NDArray[np.float32], NDArray[np.int64]],
    validation: tuple[NDArray[np.float32], NDArray[np.int64]] | None,
    classes: int,
    *,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Probe:
    """Fit logistic regressions to `train` (features (n, D), labels (n,)), strong to weak L2; keep the best one.

    The best has the lowest cross-entropy on `validation`, a finer measure than accuracy on few pictures; without
    validation pictures l2 is 1e-2. Features are standardised for the fit, and that is folded into the weights.
    """
    regression = _Regression(*train, classes, class_weights, label_smoothing)
    if validation is None:
        return regression.fit(1e-2, {})
    losses: dict[float, float] = {}
    best: Probe | None = None
    for l2 in REGULARISATIONS:
        probe = regression.fit(l2, losses)
        losses[l2] = float(cross_entropy(probe.logits(validation[0]), validation[1]).mean())
        if best is None or losses[l2] < losses[best.l2]:
            best = probe
        elif list(losses).index(l2) - list(losses).index(best.l2) >= PATIENCE:
            break
    assert best is not None
    return best


class _LBFGS(torch.optim.LBFGS):
    """torch's own, without the wrapper that imports the compiler (1.5 s) only to keep it away from this method."""

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)


class _Regression:
    """Multinomial logistic regression by L-BFGS on all rows; each fit starts where the last one ended."""

    def __init__(
        self,
        rows: NDArray[np.float32],
        labels: NDArray[np.int64],
        classes: int,
        class_weights: Tensor | None,
        label_smoothing: float,
    ) -> None:
        self.chunks = [
            (torch.tensor(rows[start : start + ROWS]), torch.tensor(labels[start : start + ROWS]))
            for start in range(0, len(rows), ROWS)
        ]
        self.class_weights, self.smoothing, self.items = class_weights, label_smoothing, len(rows)
        self.mean = torch.tensor(rows.mean(0, dtype=np.float64), dtype=torch.float32)  # (D,)
        deviation = torch.tensor(rows.std(0, dtype=np.float64), dtype=torch.float32)
        self.scale = torch.where(
            deviation > 1e-6, 1.0 / deviation.clamp_min(1e-6), 0.0
        )  # a constant feature says nothing
        self.weight = torch.zeros(classes, rows.shape[1], requires_grad=True)  # of standardised features
        self.bias = torch.zeros(classes, requires_grad=True)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias for features as they are."""
        weight = self.weight * self.scale
        return weight, self.bias - weight @ self.mean

    def fit(self, l2: float, losses: dict[float, float]) -> Probe:
        """Minimise the mean cross-entropy + l2/2 |weight|^2."""
        optimiser = _LBFGS(
            [self.weight, self.bias],
            max_iter=100,
            tolerance_grad=1e-5,
            tolerance_change=1e-7,
            line_search_fn="strong_wolfe",
        )

        def closure() -> float:
            self.weight.grad = self.bias.grad = None
            penalty = 0.5 * l2 * self.weight.square().sum()
            penalty.backward()  # type: ignore[no-untyped-call]
            total = penalty.item()
            for rows, labels in self.chunks:
                loss = self._cross_entropy(*self.folded(), rows, labels) * (len(labels) / self.items)
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.item()
            return total

        optimiser.step(closure)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            weight, bias = (tensor.detach().clone() for tensor in self.folded())
            logits = [(rows @ weight.T + bias, labels) for rows, labels in self.chunks]
            loss = sum(F.cross_entropy(said, labels, reduction="sum").item() for said, labels in logits)
            hits = sum(int((said.argmax(1) == labels).sum()) for said, labels in logits)
        return Probe(weight, bias, l2, losses, loss / self.items, hits / self.items)

    def _cross_entropy(self, weight: Tensor, bias: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
        logits = torch.addmm(bias, rows, weight.T)
        return F.cross_entropy(logits, labels, weight=self.class_weights, label_smoothing=self.smoothing)
