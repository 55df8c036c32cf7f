"""Train a network on pictures, or go on with a training that was interrupted.

The order of things: data -> choices -> pictures -> network -> plan -> (probe) -> loop -> temperature. All that is
decided on the way is in run.json before the first step, so `resume` decides nothing again. Test pictures are never
looked at here.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from glassnet.data import builtin
from glassnet.files import FolderLock, remove_leftovers
from glassnet.nn.device import describe_machine, pick_device, reuse_memory, set_threads
from glassnet.training.checkpoint import Learner, Saver, load_state, save_state
from glassnet.training.classification import PreparedClassification
from glassnet.training.distributed import Workers, workers
from glassnet.training.events import Events
from glassnet.training.features import Predictor
from glassnet.training.finish import finish, keep
from glassnet.training.guard import memory_advice
from glassnet.training.loop import Job, fit
from glassnet.training.plan import MOST_EPOCHS, Plan
from glassnet.training.prepare import CLASSIFICATION
from glassnet.training.prepared import Kind, Prepared, Settings
from glassnet.training.probe import probe_first
from glassnet.training.progress import Display
from glassnet.training.run import Run, check_output, claim_next, create_run, next_path
from glassnet.training.setup import make_job, make_learner, make_plan


def train(
    data: str | Path,
    *,
    network: str | None = None,
    backbone: str | None = None,
    recipe: str | None = None,
    output: str | Path | None = None,
    pretrained: bool | str = False,
    start_from: str | Path | None = None,
    minutes: float | None = None,
    epochs: float | None = None,
    arguments: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    precision: str | None = None,
    threads: int | None = None,
    seed: int = 0,
    strict: bool = False,
    group_by: str | None = None,
    quiet: bool | None = None,
    predictor: Predictor | None = None,
    kind: Kind = CLASSIFICATION,
) -> Run:
    """Train a network on `data` and return the run, whose network is the best on validation.

    Args:
        data: anything `glassnet.data.index.scan` takes: a folder, a table, arrays, or a built-in's name.
        network: a registry name; None chooses by the data. arguments: the network's own.
        recipe: a name or a `.toml` file; None chooses. overrides: recipe fields; epochs and precision are two of them.
        backbone: the classifier whose body a detector stands on, arguments behind it ("mobilenet_v2 width=0.5"); None
            chooses.
        output: the run's folder, new or empty; None makes runs/DATA-1, -2, ...
        pretrained: start from ImageNet weights: True for the best known, or the name of their source ("torchvision").
        start_from: fine-tune this network file (or run folder).
        minutes: plan the number of steps so that everything ends within them; beside epochs, at most so many.
        device: auto, cpu, cuda, mps. threads: of the CPU; None leaves torch's choice. seed: all randomness follows it.
        strict: stop at data problems instead of quarantining. group_by: a table's column that stays in one split.
        quiet: True shows nothing; None shows a live line in a terminal and a line per validation elsewhere.
        predictor: computes the frozen features of a probe in place of the network's body: images (N, C, H, W) float32
            -> features (N, D).
        kind: what is trained: by default a classifier.

    Raises:
        InputError, UnknownName, DataError: before anything is written.
        Diverged, RunError: the training could not go on; what was saved stays.
        KeyboardInterrupt: after saving, when interrupted.
    """
    began = time.perf_counter()
    chosen = dict(overrides or {})
    chosen |= {name: value for name, value in (("epochs", epochs), ("precision", precision)) if value is not None}
    settings = Settings(
        data=absolute(data),
        task=kind.name,
        network=network,
        backbone=backbone,
        recipe=recipe,
        overrides=chosen,
        arguments=dict(arguments or {}),
        pretrained=pretrained,
        start_from=None if start_from is None else absolute(start_from),
        minutes=minutes,
        device=device,
        threads=threads,
        seed=seed,
        strict=strict,
        group_by=group_by,
    )
    with workers(pick_device(device)) as team, Display(quiet=quiet or not team.leads) as display:
        set_threads(threads)
        reuse_memory()
        path = Path(team.share(str(Path(output) if output is not None else next_path(data))))
        check_output(path)
        with team.in_turn():
            prepared = kind.prepare(settings)
        display.say(prepared.choice.reason)
        with memory_advice(prepared.recipe):
            left = None if minutes is None else 60.0 * minutes - (time.perf_counter() - began)
            stretch = 1.0 if {"epochs", "steps"} & set(chosen) else MOST_EPOCHS
            plan = make_plan(prepared, team, seed=seed, seconds=left, stretch=stretch)
        if output is None:
            path = Path(team.share(str(claim_next(data)) if team.leads else ""))
        with writing(path, team):
            if team.leads:
                facts = {"settings": asdict(settings), "decided": prepared.decided(), "machine": describe_machine()}
                create_run(path, prepared.recipe, prepared.index, **facts, plan=asdict(plan))
            team.wait()
            return carry_on(kind.run(path), prepared, plan, team, display, predictor)


def resume(
    path: str | Path,
    *,
    device: str | None = None,
    threads: int | None = None,
    quiet: bool | None = None,
    predictor: Predictor | None = None,
    kind: Kind = CLASSIFICATION,
) -> Run:
    """Go on with the interrupted run at `path`: the same bits as if it had never stopped, on the same machine.

    device, threads: other ones than the run began with are possible; the bits then differ, and a line says so.
    kind: of the run. Raises `RunError` where there is no run, `RunLocked`, and what `train` raises.
    """
    run = kind.run(path)
    settings = Settings(**run.facts["settings"])
    with (
        workers(pick_device(settings.device if device is None else device)) as team,
        Display(quiet=quiet or not team.leads) as display,
    ):
        set_threads(run.facts["machine"]["threads"] if threads is None else threads)
        reuse_memory()
        with writing(run.path, team):
            run = kind.run(path)  # what another process finished while we waited counts
            if run.finished:
                display.say(f"{run.path} is finished already")
                return run
            warn_of_differences(run, display)
            with team.in_turn():
                prepared = kind.prepare_again(settings, run.facts["decided"], run.recipe)
            plan = replace(Plan(**run.facts["plan"]), device=str(team.device))
            return carry_on(run, prepared, plan, team, display, predictor)


def carry_on(
    run: Run, prepared: Prepared, plan: Plan, team: Workers, display: Display, predictor: Predictor | None
) -> Run:
    """Train from wherever the run stands to its end."""
    with memory_advice(prepared.recipe), Events(run.path if team.leads else None) as events:
        learner = make_learner(prepared, team, plan.precision, steps=plan.steps)

        def write(line: dict[str, Any]) -> int:
            events.write(line)
            return run.add_metrics(line) if team.leads else 0

        def save() -> None:
            keep(run, prepared, learner)
            save_state(run.state_path, learner)

        job, saver = make_job(prepared, plan, team, write), Saver(save)
        try:
            begin(run, prepared, learner, job, display, predictor)
            fit(learner, job, saver, display)
        except KeyboardInterrupt:
            display.say(f"interrupted; go on with: glassnet resume {shlex.quote(str(run.path))}")
            raise
        finally:
            display.close()
        if team.leads:
            saver.save()
            finish(run, prepared, learner, plan.device)
            saving = {"times": saver.saves, "seconds": round(saver.seconds, 3)}  # of this sitting
            seconds = round(learner.counters.seconds, 3)
            run.record(finished=True, seconds=seconds, last_step=learner.counters.step, saving=saving)
        team.wait()
    return run


def begin(
    run: Run, prepared: Prepared, learner: Learner, job: Job, display: Display, predictor: Predictor | None
) -> None:
    """Bring the learner to where the run stands: its saved state, or the start, which may be a probe."""
    if run.state_path.exists():
        learner.restore(*load_state(run.state_path))
        learner.kept = -1
    if job.workers.leads:
        run.cut_metrics(learner.counters.history)
    if prepared.recipe.probe and not run.state_path.exists():
        with job.workers.in_turn():
            assert isinstance(prepared, PreparedClassification)  # other recipes have no probe
            probe_first(learner, prepared, job, display, predictor)


def warn_of_differences(run: Run, display: Display) -> None:
    """Say what is different from when the run began and can change the last bits of its weights."""
    now = describe_machine()
    names = ("cpu", "threads", "accelerator", "torch")
    changed = [f"{name} {then} -> {now[name]}" for name in names if (then := run.facts["machine"][name]) != now[name]]
    if changed:
        display.say(f"not as when the run began: {', '.join(changed)}; the weights may differ in their last bits")


def absolute(data: str | Path) -> str:
    """Return a path that exists as an absolute one, so that a run finds it from anywhere; a name stays a name."""
    if isinstance(data, str) and data in builtin.names():
        return data
    path = Path(data).expanduser()
    return str(path.absolute()) if path.exists() else str(data)


@contextmanager
def writing(path: Path, team: Workers) -> Iterator[None]:
    """Hold the run folder's lock in the process that writes it."""
    if not team.leads:
        yield
        return
    with FolderLock(path):
        remove_leftovers(path)
        yield
