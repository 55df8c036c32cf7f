"""What augmentation costs: at most 10 % of the time of each recipe's training steps.

Run:  python benchmarks/augmentation_share.py [--seconds 6]

Takes training steps with the product's own batches and loop, for each named recipe on the network and picture size that
it is meant for, and counts the processor time spent in `Augment.apply` beside that of everything: gathering,
augmenting, the preprocess, forward, backward, the optimiser. One thread, and processor time instead of the clock's, so
that other work on the machine does not count. The pictures are noise and the weights are fresh: the arithmetic is the
same.
`transfer` computes features of unchanged pictures once, so it has no training steps and augments nothing.
Writes benchmarks/results/augmentation_share.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from glassnet.data.augment import Augment
from glassnet.nn.device import describe_machine, pick_device, set_threads
from glassnet.training.classification import augmentation
from glassnet.training.distributed import Workers
from glassnet.training.loop import choose_what_trains, gradient, take_step
from glassnet.training.optimisers import set_learning_rates
from glassnet.training.prepare import prepare
from glassnet.training.prepared import Settings
from glassnet.training.setup import endless, make_job, make_learner, make_plan

TARGET = 0.10
RESULT = Path(__file__).parent / "results" / "augmentation_share.md"
WARM_STEPS = 2
LEAST_STEPS = 3


@dataclass(frozen=True)
class Case:
    """A recipe on a network with pictures of `stored` x `stored` pixels."""

    recipe: str
    network: str
    stored: int
    channels: int
    arguments: dict[str, Any]
    overrides: dict[str, Any]


SMALL_STEM = {"stem": "small"}
CASES = (
    Case("quick", "sprint_s", 28, 1, {}, {}),  # what is chosen for small grey pictures ...
    Case("quick", "resnet18", 32, 3, SMALL_STEM, {}),  # ... for small ones in colour ...
    Case("standard", "resnet18", 160, 3, {}, {"size": 128}),  # ... and for photos without pretrained weights
    Case("best", "efficientnet_lite0", 256, 3, {}, {}),
    Case("sprint", "sprint_s", 28, 1, {}, {}),
    Case("sprint_minute", "sprint_m", 28, 1, {}, {}),
    Case("sprint_minutes", "sprint_m", 28, 1, {}, {}),
    Case("sprint_digits", "sprint_s", 28, 1, {}, {}),
    Case("sprint_digits_minute", "sprint_s", 28, 1, {}, {}),
)


class Timed:
    """An augmentation that counts the processor time of its calls, in whichever thread they run."""

    def __init__(self, inner: Augment) -> None:
        self.inner, self.seconds = inner, 0.0

    def apply(self, *arguments: Any, **options: Any) -> Any:
        """Augment a batch as `inner` does."""
        begin = time.thread_time()
        result = self.inner.apply(*arguments, **options)
        self.seconds += time.thread_time() - begin
        return result


def write_noise(path: Path, case: Case, count: int = 512) -> Path:
    """Write pictures of noise in two classes as `.npz`."""
    rng = np.random.default_rng(0)
    shape = (case.stored, case.stored, case.channels)
    count = min(count, 40_000_000 // int(np.prod(shape)))
    x = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    y = np.arange(count) % 2
    np.savez(path, x_train=x, y_train=y, x_test=x[:8], y_test=y[:8])
    return path


def measure(case: Case, seconds: float, folder: Path) -> tuple[float, str]:
    """Take steps for about `seconds` of processor time; return augmentation's share and a row of the table."""
    data = write_noise(folder / f"{case.stored}x{case.channels}.npz", case)
    chosen = {"network": case.network, "arguments": case.arguments, "recipe": case.recipe, "overrides": case.overrides}
    prepared = prepare(Settings(data=str(data), device="cpu", threads=1, **chosen))
    team = Workers(0, 1, pick_device("cpu"))
    plan = make_plan(prepared, team, seed=0, seconds=None)
    job = make_job(prepared, plan, team, lambda line: 0)  # noqa: ARG005 - nothing is written
    learner = make_learner(prepared, team, plan.precision)
    trainable = [parameter for parameter in learner.module.parameters() if parameter.requires_grad]
    model = choose_what_trains(learner.module, trainable, job.recipe, frozen=False)
    set_learning_rates(learner.optimisers, 0.01)
    timed = Timed(augmentation(job.recipe) or Augment())
    job.batches.augment = timed if augmentation(job.recipe) else None  # type: ignore[assignment]
    stream, steps, begin = endless(job.batches), 0, 0.0
    while steps < WARM_STEPS + LEAST_STEPS or time.process_time() - begin < seconds:
        if steps == WARM_STEPS:
            begin, timed.seconds = time.process_time(), 0.0
        gradient(model, next(stream), learner, job)
        take_step(learner, job.recipe)
        steps += 1
    took = time.process_time() - begin
    stream.close()
    share, counted = timed.seconds / took, steps - WARM_STEPS
    height, width = prepared.network.preprocess.height, prepared.network.preprocess.width
    each, augmenting = 1000 * took / counted, 1000 * timed.seconds / counted
    row = (
        f"| {case.recipe} | {case.network} | {height} x {width} x {case.channels} | {job.batches.batch_size} | "
        f"{plan.precision} | {counted} | {each:.1f} | {augmenting:.2f} | {share:.1%} |"
    )
    print(row, flush=True)
    return share, row


def main() -> int:
    """Measure each recipe and write the result; return 1 where the target was missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=6.0, help="processor time for each recipe")
    arguments = parser.parse_args()
    set_threads(1)
    with tempfile.TemporaryDirectory() as name:
        measured = [measure(case, arguments.seconds, Path(name)) for case in CASES]
    write([row for _, row in measured], arguments.seconds)
    return int(max(share for share, _ in measured) > TARGET)


def write(rows: list[str], seconds: float) -> None:
    """Write the result."""
    machine = ", ".join(f"{key} {value}" for key, value in describe_machine().items())
    lines = [
        "# What augmentation costs",
        "",
        "Processor time of `Augment.apply` as a share of that of whole training steps, one thread, "
        f"about {seconds:g} s a recipe (at least {LEAST_STEPS} steps), n = 1. Target: at most {TARGET:.0%}. "
        "`transfer` augments nothing: its pictures pass the network once, unchanged.",
        "",
        "| recipe | network | pictures | batch | precision | steps | ms a step | ms augmenting | share |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
        "| transfer | efficientnet_lite0 | 224 x 224 x 3 | | | 0 | | 0 | 0.0% |",
        "",
        f"Machine and versions: {machine}. {date.today()}.",
        "Script: benchmarks/augmentation_share.py",
        "",
    ]
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(lines))


if __name__ == "__main__":
    raise SystemExit(main())
