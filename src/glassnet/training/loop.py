"""The training loop: written out, on one screen, for every task, in one process or many.

`fit` is the loop; below it stand the parts of a step and of a validation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.data.batches import Batches
from glassnet.training.checkpoint import Learner, Saver
from glassnet.training.distributed import Workers, without_sync
from glassnet.training.guard import check_loss, memory_advice, stop_signals
from glassnet.training.optimisers import set_learning_rates
from glassnet.training.plan import Plan, reseed
from glassnet.training.progress import Display
from glassnet.training.recipes import Recipe
from glassnet.training.schedules import learning_rate_factor
from glassnet.training.task import Task

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that a training is given and does not change."""

    task: Task
    batches: Batches
    validation: Callable[[], Iterable[Any]] | None  # this process's validation batches; None where there are none
    recipe: Recipe
    plan: Plan
    workers: Workers
    write: Callable[[dict[str, Any]], int]  # records a line of metrics, returns the history's length in bytes

    def autocast(self) -> torch.autocast:
        """Return the context in which the network computes at the plan's precision."""
        dtype = DTYPES[self.plan.precision]
        return torch.autocast(self.workers.device.type, dtype=dtype, enabled=dtype is not torch.float32)


def fit(learner: Learner, job: Job, saver: Saver, display: Display) -> None:
    """Train from where the learner's counters stand until the plan's last step, or until it stops early.

    Asked to stop, it finishes the step, saves and raises `KeyboardInterrupt`. A broken network is never saved: it
    raises `Diverged` first.
    """
    plan, recipe, workers, now = job.plan, job.recipe, job.workers, learner.counters
    trainable = [parameter for parameter in learner.module.parameters() if parameter.requires_grad]
    stopped = False
    learner.start_clock()
    display.start(plan.epoch(plan.steps), plan.epoch(now.step))
    with memory_advice(recipe), stop_signals() as stop:
        while not (now.finished or stopped or now.step >= plan.steps):
            epoch, first = divmod(now.step, plan.steps_per_epoch)
            frozen = now.step < plan.freeze_steps
            model = workers.wrap(choose_what_trains(learner.module, trainable, recipe, frozen))
            with closing(job.batches.epoch(epoch, start=first)) as batches:
                for batch in batches:
                    progress = learning_rate_factor(recipe.schedule, now.step, plan.steps, recipe.warmup)
                    set_learning_rates(learner.optimisers, progress)
                    reseed(workers.device, plan.seed, now.step, workers.rank)
                    learner.sums += gradient(model, batch, learner, job)
                    take_step(learner, recipe)
                    now.step, now.seen = now.step + 1, now.seen + len(batch)
                    learner.tick()

                    if now.step == 1 or display.due():
                        look(learner, job, display)
                    if plan.validates(now.step):
                        validate(learner, job, display)
                    if saver.due() and workers.leads:
                        save(learner, job, saver, display)
                    stopped = workers.any(stop.asked)
                    if stopped or now.finished or now.step >= plan.steps or frozen != (now.step < plan.freeze_steps):
                        break
    if stopped:
        if workers.leads:
            save(learner, job, saver, display)
        raise KeyboardInterrupt
    now.finished = True


def choose_what_trains(module: nn.Module, trainable: list[nn.Parameter], recipe: Recipe, frozen: bool) -> nn.Module:
    """Put `module` into training mode and return it; what is frozen neither learns nor updates its batch norms.

    trainable: the parameters that may train at all. frozen: the whole body; else the recipe's first stages of it.
    """
    module.train()
    body = getattr(module, "body", None)
    still = [] if body is None else [body] if frozen else list(body.children())[: recipe.frozen_stages]
    fixed = {id(parameter) for part in still for parameter in part.eval().parameters()}
    for parameter in trainable:
        parameter.requires_grad_(id(parameter) not in fixed)
    return module


def gradient(model: nn.Module, batch: Any, learner: Learner, job: Job) -> Tensor:
    """Add the batch's gradient to the parameters'; return loss and measures, times the items, (1 + measures,)."""
    parts = list(job.task.parts(batch, job.recipe.accumulate, job.workers.device))
    items = sum(count for _, count in parts)
    sums = torch.zeros_like(learner.sums)
    for number, (part, count) in enumerate(parts, 1):
        with nullcontext() if number == len(parts) else without_sync(model):
            with job.autocast():
                loss, measures = job.task.loss(model, part)
            learner.scaler.scale(loss * (count / items)).backward()  # type: ignore[no-untyped-call]
        sums += torch.stack([loss.detach(), *measures]) * count
    return sums


def take_step(learner: Learner, recipe: Recipe) -> None:
    """Let the optimisers use the gradients, and forget those."""
    if recipe.clip > 0:
        for optimiser in learner.optimisers:
            learner.scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(learner.module.parameters(), recipe.clip)
    for optimiser in learner.optimisers:
        learner.scaler.step(optimiser)
        optimiser.zero_grad()
    learner.scaler.update()
    if learner.average is not None:
        learner.average.update()


def means(learner: Learner, job: Job) -> dict[str, float]:
    """Return the training loss and measures, averaged over the pictures of this process since the last validation."""
    values = (learner.sums / max(1, learner.counters.seen)).tolist()  # the one place that waits for the device
    return dict(zip(("loss", *job.task.measures), values, strict=True))


def look(learner: Learner, job: Job, display: Display) -> dict[str, float]:
    """Check that the loss is sane, and show it. Raises `Diverged`."""
    now, found = learner.counters, means(learner, job)
    if now.first_loss is None:
        now.first_loss = found["loss"]
    if now.seen:
        check_loss(found["loss"], now.first_loss, job.recipe, now.step)
        rate = now.seen * job.workers.world / max(1e-9, now.seconds - now.marked)
        shown = "  ".join(f"{name} {value:.3f}" for name, value in found.items())
        display.show(job.plan.epoch(now.step), f"epoch {job.plan.epoch(now.step):.2f}  {shown}  {rate:,.0f} pictures/s")
    return found


def save(learner: Learner, job: Job, saver: Saver, display: Display) -> None:
    """Save, unless the loss says that there is nothing worth saving."""
    look(learner, job, display)
    saver.save()


def validate(learner: Learner, job: Job, display: Display) -> None:
    """Judge the network on validation, keep it if it is the best so far, write a line of metrics, start new means."""
    now, workers = learner.counters, job.workers
    look(learner, job, display)
    items = now.seen * workers.world
    trained = (workers.sum(learner.sums) / items).tolist()
    line: dict[str, Any] = {"epoch": round(job.plan.epoch(now.step), 4), "step": now.step}
    line |= {f"train_{name}": value for name, value in zip(("loss", *job.task.measures), trained, strict=True)}
    line["learning_rate"] = learner.optimisers[-1].param_groups[-1]["lr"]  # the head's group comes last
    line["pictures_per_second"] = round(items / max(1e-9, now.seconds - now.marked), 1)
    learner.sums.zero_()
    now.seen = 0
    if job.validation is not None:
        with evaluating(learner.judged), torch.inference_mode(), job.autocast():
            scores = workers.agree(job.task.evaluate(learner.judged, job.validation(), workers))
        if not math.isfinite(scores["loss"]):
            check_loss(math.nan, now.first_loss or 0.0, job.recipe, now.step)
        if now.note(scores["score"], job.recipe.patience):
            learner.best = {name: tensor.clone() for name, tensor in learner.judged.state_dict().items()}
        if now.stale == 0 or job.recipe.select == "last":
            learner.answers = job.task.answers
        line |= {f"validation_{name}": value for name, value in scores.items()} | {"best": now.stale == 0}
    learner.tick()
    now.marked = now.seconds
    now.history = job.write(line | {"seconds": round(now.seconds, 3)})
    if workers.leads:
        display.say(sentence(line, job.plan))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put `module` into evaluation mode inside the block, and each of its parts back into its own mode after it."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def sentence(line: dict[str, Any], plan: Plan) -> str:
    """Say a line of metrics in words."""
    words = [f"epoch {line['epoch']:.3g}/{plan.epoch(plan.steps):.3g}", f"loss {line['train_loss']:.4f}"]
    if "train_accuracy" in line:
        words.append(f"accuracy {line['train_accuracy']:.1%}")
    if "validation_score" in line:
        best = " (best)" if line["best"] else ""
        value = line.get("validation_accuracy", line["validation_score"])
        words.append(f"validation {value:.1%}{best}")
    if "validation_mean_iou" in line:
        words.append(f"mean IoU {line['validation_mean_iou']:.2f}")
    words.append(f"{line['pictures_per_second']:,.0f} pictures/s")
    return "  ".join(words)
