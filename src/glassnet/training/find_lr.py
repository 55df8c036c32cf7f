"""The learning-rate finder: raise the rate from tiny to too large over a few steps and watch the loss.

Smith 2017, "Cyclical learning rates for training neural networks" (arXiv:1506.01186), section 3.3. The suggestion is
the rate at which the smoothed loss falls fastest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glassnet.data.batches import Batch
from glassnet.errors import Diverged, InputError
from glassnet.files import atomic_path
from glassnet.nn.device import pick_device, reuse_memory, set_threads
from glassnet.training.distributed import Workers
from glassnet.training.guard import memory_advice
from glassnet.training.loop import choose_what_trains, gradient, take_step
from glassnet.training.optimisers import set_learning_rates
from glassnet.training.plan import reseed
from glassnet.training.prepare import CLASSIFICATION
from glassnet.training.prepared import Kind, Settings
from glassnet.training.progress import Display
from glassnet.training.setup import endless, make_job, make_learner, make_plan
from glassnet.training.train import absolute

SMOOTHING = 0.9  # decay of the loss's moving average: single batches are noisy
STOP_AT = 4.0  # times the lowest smoothed loss: beyond it the training has blown up and nothing more is to be seen
SKIP = 0.1  # share of the steps whose slope does not count: the average is still settling


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the finder saw: `losses` (smoothed, training) at rising learning `rates`, and the rate it suggests."""

    network: str
    recipe: str
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float

    def plot(self, path: Path) -> None:
        """Draw loss against rate into `path` (.png, .svg or .pdf). Raises `StorageError`, `InputError`."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed")
        axes.plot(self.rates, self.losses)
        axes.axvline(self.suggestion, linestyle="--", color="tab:orange", label=f"suggestion {self.suggestion:.2g}")
        axes.set_title(f"{self.network}, {self.recipe}")
        axes.legend()
        try:
            with atomic_path(path) as temporary:
                figure.savefig(temporary)
        except ValueError as error:
            raise InputError(f"cannot plot to {str(path)!r}: {error}") from error


def find_lr(
    data: str | Path,
    *,
    network: str | None = None,
    recipe: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
    pretrained: bool | str = False,
    device: str = "auto",
    threads: int | None = None,
    seed: int = 0,
    steps: int = 100,
    lowest: float = 1e-6,
    highest: float = 10.0,
    quiet: bool | None = None,
    kind: Kind = CLASSIFICATION,
) -> Finding:
    """Train for at most `steps` steps at rates from `lowest` to `highest`, on a network that is then thrown away.

    The other arguments are those of `train`, `kind` among them. Raises `InputError` for wrong ones, `Diverged` where
    even the lowest rates give no finite loss.
    """
    if steps < 10 or not 0 < lowest < highest < math.inf:
        raise InputError(
            f"steps={steps}, lowest={lowest}, highest={highest}: expected at least 10, and 0 < lowest < highest"
        )
    settings = Settings(
        data=absolute(data),
        task=kind.name,
        network=network,
        recipe=recipe,
        overrides=dict(overrides or {}),
        arguments=dict(arguments or {}),
        pretrained=pretrained,
        device=device,
        threads=threads,
        seed=seed,
    )
    set_threads(threads)
    reuse_memory()
    prepared = kind.prepare(settings)
    rates = np.geomspace(lowest, highest, steps).tolist()
    with Display(quiet=quiet) as display, memory_advice(prepared.recipe):
        display.say(prepared.choice.reason)
        display.start(steps)
        losses = []
        team = Workers(0, 1, pick_device(device))
        for number, loss in enumerate(try_rates(prepared, team, seed, rates), 1):
            losses.append(loss)
            display.show(number, f"rate {rates[number - 1]:.1e}  loss {loss:.3f}")
    return suggest(prepared.network.name, prepared.recipe.name, rates[: len(losses)], losses)


def try_rates(prepared: Any, team: Workers, seed: int, rates: list[float]) -> Iterator[float]:
    """Take a step at each of `rates` and yield the smoothed loss, until it blows up."""
    plan = make_plan(prepared, team, seed=seed, seconds=None)
    job = make_job(prepared, plan, team, lambda line: 0)  # noqa: ARG005 - nothing is written
    learner = make_learner(prepared, team, plan.precision)
    trainable = [parameter for parameter in learner.module.parameters() if parameter.requires_grad]
    model = choose_what_trains(learner.module, trainable, job.recipe, frozen=False)
    average, least = 0.0, math.inf
    batches: Iterator[Batch] = endless(job.batches)
    for step, (rate, batch) in enumerate(zip(rates, batches, strict=False)):
        set_learning_rates(learner.optimisers, rate / job.recipe.learning_rate)
        reseed(team.device, seed, step)
        loss = float(gradient(model, batch, learner, job)[0]) / len(batch)
        take_step(learner, job.recipe)
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed = average / (1 - SMOOTHING ** (step + 1))
        least = min(least, smoothed)
        if not math.isfinite(smoothed) or smoothed > STOP_AT * least:
            return
        yield smoothed


def suggest(network: str, recipe: str, rates: list[float], losses: list[float]) -> Finding:
    """Return the finding whose suggestion is where the loss falls fastest per factor of the rate."""
    if len(losses) < 5:
        raise Diverged(
            f"the loss blew up after {len(losses)} steps at rates up to {rates[-1] if rates else 0:.1g}; lower them"
        )
    slopes = np.gradient(np.array(losses), np.log(rates))
    first = int(SKIP * len(losses))
    best = first + int(slopes[first:].argmin())
    return Finding(
        network=network, recipe=recipe, rates=tuple(rates), losses=tuple(losses), suggestion=float(f"{rates[best]:.2g}")
    )
