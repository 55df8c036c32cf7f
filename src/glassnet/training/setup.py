"""From a recipe to the things it means: batches, what learns, the plan, the task."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from glassnet.data.batches import Batches
from glassnet.errors import InputError
from glassnet.nn.device import autocast_dtype
from glassnet.training.average import Average
from glassnet.training.checkpoint import Learner
from glassnet.training.distributed import Workers
from glassnet.training.loop import DTYPES, Job, choose_what_trains, evaluating, gradient, take_step
from glassnet.training.optimisers import build_optimisers, set_learning_rates
from glassnet.training.plan import MEASURE_SHARE, MOST_EPOCHS, Plan, budget_steps, measure, plan_steps
from glassnet.training.prepared import Prepared, evaluation_size
from glassnet.training.recipes import Recipe


def make_job(prepared: Prepared, plan: Plan, team: Workers, write: Callable[[dict[str, Any]], int]) -> Job:
    """Return everything the loop is given and does not change."""
    return Job(
        task=prepared.task(),
        batches=prepared.batches(team, plan.seed, plan.epoch(plan.steps)),
        validation=prepared.validation(team),
        recipe=prepared.recipe,
        plan=plan,
        workers=team,
        write=write,
    )


def precision_on(device: torch.device, recipe: Recipe) -> str:
    """Return the precision that the recipe means on `device`: fp32, bf16 or fp16."""
    dtype = autocast_dtype(device, recipe.precision)
    return next(name for name, kind in DTYPES.items() if kind is (dtype or torch.float32))


def make_learner(prepared: Prepared, team: Workers, precision: str, *, steps: int | None = None) -> Learner:
    """Return the network on its device with fresh optimisers and, where the recipe asks for it, its average.

    Where `steps` is 0 it has no optimisers: torch's first one imports the compiler, 1.5 s that a probe need not wait.
    """
    recipe, module = prepared.recipe, prepared.network.module.to(team.device)
    stages = getattr(module, "body", None)
    if (recipe.freeze > 0 or recipe.frozen_stages > 0 or recipe.layer_decay < 1) and stages is None:
        raise InputError("freeze, frozen_stages and layer_decay need a network with a body of stages and a head")
    if recipe.channels_last:
        module = module.to(memory_format=torch.channels_last)
    return Learner(
        module=module,
        optimisers=[] if steps == 0 else build_optimisers(module, recipe),
        average=Average(module, recipe.ema) if recipe.ema > 0 else None,
        scaler=torch.amp.GradScaler(team.device.type, enabled=precision == "fp16"),
        sums=torch.zeros(1 + len(prepared.task().measures), device=team.device),
    )


def make_plan(
    prepared: Prepared, team: Workers, *, seed: int, seconds: float | None, stretch: float = MOST_EPOCHS
) -> Plan:
    """Decide the number of steps: the recipe's, or as many as fit into `seconds`, measured on a copy of the network.

    stretch: so many times the recipe's own number a budget may make of it at most.
    """
    recipe = prepared.recipe
    batches = prepared.batches(team, seed, recipe.epochs)
    steps = plan_steps(recipe, batches.steps_per_epoch)
    plan = Plan(
        steps=steps,
        steps_per_epoch=batches.steps_per_epoch,
        validate_steps=round(recipe.validate_every * batches.steps_per_epoch),
        freeze_steps=round(recipe.freeze * batches.steps_per_epoch),
        seed=seed,
        device=str(team.device),
        precision=precision_on(team.device, recipe),
        threads=torch.get_num_threads(),
        processes=team.world,
    )
    if seconds is None or steps == 0:
        return plan
    begin = time.perf_counter()
    step, validation = rehearse(prepared, plan, team, min(30.0, max(0.5, MEASURE_SHARE * seconds)))
    each = step + (validation / plan.validate_steps if plan.validate_steps else 0.0)
    left = seconds - (time.perf_counter() - begin)
    fit = budget_steps(steps, left, each, 2 * validation, stretch=stretch)  # the last validation, and the temperature's
    return replace(plan, steps=int(team.share(str(fit))))


def rehearse(prepared: Prepared, plan: Plan, team: Workers, seconds: float) -> tuple[float, float]:
    """Return what a step takes, waiting for its batch included, and a validation: measured on a copy for `seconds`."""
    network = copy.deepcopy(prepared.network)
    double = replace(prepared, network=network)
    job = make_job(double, plan, team, lambda line: 0)  # noqa: ARG005 - nothing is written
    learner = make_learner(double, team, plan.precision)
    trainable = [parameter for parameter in learner.module.parameters() if parameter.requires_grad]
    model = team.wrap(choose_what_trains(learner.module, trainable, job.recipe, frozen=False))
    set_learning_rates(learner.optimisers, 0.01)
    stream = endless(job.batches)

    def step() -> None:
        gradient(model, next(stream), learner, job)
        take_step(learner, job.recipe)

    took = measure(step, seconds if team.world == 1 else 0.0)  # several processes must take equally many steps: two
    stream.close()
    if job.validation is None:
        return took, 0.0
    items = prepared.index.select("validation")
    sample = items[: 2 * evaluation_size(prepared.network.preprocess)]
    begin = time.perf_counter()
    with evaluating(learner.module), torch.inference_mode(), job.autocast():
        job.task.evaluate(learner.module, prepared.evaluation(sample), replace(team, world=1))
    share = len(items) / team.world / len(sample)
    return took, (time.perf_counter() - begin) * share


def endless(batches: Batches) -> Any:
    """Yield batches epoch after epoch."""
    epoch = 0
    while True:
        yield from batches.epoch(epoch)
        epoch += 1
