"""The engine: train every option with every seed, one after the other, and keep all that is found in one folder.

Seeds go round first: all options with seed 0, then all with seed 1, so that an interrupted comparison is fair as far as
it got. `compare.json` says what is to be done and holds what is done; a run that is finished and judged is never
trained again.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glassnet.comparison import studies
from glassnet.comparison.findings import findings
from glassnet.comparison.options import Budget, Option, check_options, is_own, make_options
from glassnet.comparison.results import Outcome, Row, outcome, rows, shared, to_csv
from glassnet.comparison.summary import summary
from glassnet.errors import DataError, Diverged, InputError, RunError
from glassnet.files import FolderLock, new_folder, remove_leftovers, write_text
from glassnet.nn.device import describe_machine
from glassnet.report.report import judge_run, run_pictures
from glassnet.training.recipes import Recipe
from glassnet.training.run import next_path
from glassnet.training.train import absolute, resume, train

FORMAT = 1
FILE = "compare.json"
MOST_SEEDS = 1000


class Comparison:
    """A comparison's folder: `compare.json`, and once runs are finished `compare.csv`, `compare.png`, `README.md`.

    Raises `RunError` where `path` holds none, or one of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            facts: dict[str, Any] = json.loads((self.path / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"no comparison at {str(path)!r}: its {FILE} cannot be read ({error})") from error
        if facts.get("format") != FORMAT:
            raise RunError(f"{str(path)!r} has comparison format {facts.get('format')!r}; this glassnet reads {FORMAT}")
        self.settings: dict[str, Any] = facts["settings"]
        self.created: str = facts["created"]
        self.machine: dict[str, Any] = facts["machine"]
        self.options = [Option(**each) for each in facts["options"]]
        self.outcomes = [Outcome(**each) for each in facts["outcomes"]]

    @property
    def budget(self) -> Budget:
        """What every training gets."""
        return Budget(**self.settings["budget"])

    @property
    def study(self) -> studies.Study | None:
        """The named study it is, where it is one."""
        return studies.load(self.settings["study"]) if self.settings["study"] else None

    @property
    def todo(self) -> list[tuple[Option, int]]:
        """The trainings that are not finished, in their order."""
        done = {(each.option, each.seed) for each in self.outcomes}
        order = [(option, seed) for seed in range(self.settings["seeds"]) for option in self.options]
        return [(option, seed) for option, seed in order if (option.name, seed) not in done]

    @property
    def finished(self) -> bool:
        """Whether all is done."""
        return not self.todo

    @property
    def rows(self) -> list[Row]:
        """A row for each option, on the seeds that all options have finished."""
        found = shared(rows([option.name for option in self.options], self.outcomes))
        return found if found and found[0].seeds else []

    @property
    def failed(self) -> list[str]:
        """A sentence for each option that diverged."""
        said = []
        for option in self.options:
            broken = [each for each in self.outcomes if each.option == option.name and each.failed]
            if broken:
                seeds = ", ".join(str(each.seed) for each in broken)
                said.append(f"{option.name} is left out: it diverged with seed {seeds} ({broken[0].failed}).")
        return said

    @property
    def findings(self) -> list[str]:
        """What was found, in sentences."""
        return findings(self.rows, self.study.pairs if self.study else (), self.failed)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "format": FORMAT,
            "created": self.created,
            "settings": self.settings,
            "machine": self.machine,
            "options": [option.to_dict() for option in self.options],
            "finished": self.finished,
            "rows": [row.to_dict() for row in self.rows],
            "findings": self.findings,
            "outcomes": [asdict(each) for each in self.outcomes],
        }

    def save(self) -> None:
        """Write `compare.json`."""
        write_text(self.path / FILE, json.dumps(self.to_dict(), indent=1) + "\n")

    def write_results(self) -> None:
        """Write the table, the figure and the summary, of what is finished."""
        from glassnet.comparison.plot import plot  # Matplotlib: half a second that training does not need

        write_text(self.path / "README.md", summary(self))
        if self.rows:
            write_text(self.path / "compare.csv", to_csv(self.rows))
            plot(self.rows, self.path / "compare.png", line=bool(self.study and self.study.line))


def compare(
    data: str | Path | None = None,
    *,
    networks: Sequence[str] = (),
    recipes: Sequence[str] = (),
    study: str | None = None,
    seeds: int | None = None,
    epochs: float | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    output: str | Path | None = None,
    resume: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    pretrained: bool = False,
    device: str | None = None,
    threads: int | None = None,
    quiet: bool | None = None,
) -> Comparison:
    """Train several networks or recipes under one budget with several seeds; return what was found.

    Args:
        data: as for `glassnet.train`; a study brings its own (`fashion-mini`), which this replaces.
        networks, recipes: names or `.toml` files, words behind them: "mobilenet_v2 width=0.5", "quick batch_size=256".
            Every network is trained by every recipe.
        study: a ready-made question in place of networks and recipes; see `glassnet.comparison.studies`.
        seeds: how many, counted from 0; None is 3. Each seed splits and orders the pictures alike for all options.
        epochs, steps, minutes: what each training gets; at most one of them.
        output: a new or empty folder; None makes runs/compare-NAME-1, -2, ...
        resume: the folder of a comparison to go on with, or to add `seeds` to; everything else stands there.
        overrides: recipe fields for all options. pretrained: all start from ImageNet weights.
        quiet: True shows nothing on stderr; None shows a line for each finished run.

    Raises:
        InputError, UnknownName, DataError: before anything is trained.
        KeyboardInterrupt: when interrupted; what is finished stays, and a line says how to go on.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("compare trains in one process; start it without torchrun")
    if seeds is not None and (isinstance(seeds, bool) or not isinstance(seeds, int) or not 1 <= seeds <= MOST_SEEDS):
        raise InputError(f"seeds is {seeds!r}; expected how many, a whole number from 1 to {MOST_SEEDS}")
    say = _sayer(quiet)
    budget = Budget(epochs=epochs, steps=steps, minutes=minutes)
    if resume is not None:
        told = (data, networks, recipes, study, output, overrides, pretrained, *asdict(budget).values())
        if any(told):
            raise InputError("a resumed comparison keeps its data, options and budget; only seeds may grow")
        return _go_on(Path(resume), seeds, device, threads, quiet, say)
    if study is not None and budget == Budget():
        budget = Budget(epochs=studies.EPOCHS)
    options, data, name = _what(data, networks, recipes, study, dict(overrides or {}), budget)
    check_options(options, budget)
    if pretrained and (own := [option.name for option in options if is_own(option)]):
        raise InputError(f"{own[0]!r} is a network of your own, and has no pretrained weights; leave pretrained out")
    settings = {
        "data": absolute(data),
        "study": study,
        "seeds": 3 if seeds is None else seeds,
        "budget": asdict(budget),
        "pretrained": pretrained,
        "device": device or "auto",
        "threads": threads,
    }
    path = Path(output) if output is not None else next_path(f"compare-{name}")
    _create(path, settings, options)
    return _go_on(path, None, device, threads, quiet, say)


def _what(
    data: str | Path | None,
    networks: Sequence[str],
    recipes: Sequence[str],
    study: str | None,
    overrides: dict[str, Any],
    budget: Budget,
) -> tuple[list[Option], str | Path, str]:
    """Return the options, the data and the name of a comparison."""
    if isinstance(networks, str) or isinstance(recipes, str):
        raise InputError("networks and recipes are lists of names; put a single one into brackets")
    if study is not None:
        if networks or recipes:
            raise InputError("a study brings its own networks and recipe; leave --network and --recipe out")
        changes = {**overrides, **budget.overrides}
        asked = studies.load(study).options
        for name in overrides:
            if len({repr(option.overrides.get(name)) for option in asked}) > 1:
                raise InputError(f"--set {name}: that is what the study {study!r} varies; leave it out")
        return [_changed(option, changes) for option in asked], data or studies.DATA, study
    if data is None:
        raise InputError("no data are named; say on what to compare: glassnet compare DATA --network A --network B")
    options = make_options(networks, recipes, overrides)
    changes = budget.overrides
    return [_changed(option, changes) for option in options], data, Path(str(data)).expanduser().resolve().stem


def _changed(option: Option, changes: Mapping[str, Any]) -> Option:
    """Return `option` with recipe fields replaced, checked."""
    Recipe().replace(**changes)
    return Option(**{**vars(option), "overrides": {**option.overrides, **changes}})


def _create(path: Path, settings: dict[str, Any], options: Sequence[Option]) -> None:
    """Make the folder of a new comparison; raise `InputError` where it holds something."""
    if (path / FILE).exists():
        raise InputError(
            f"there is a comparison in {str(path)!r} already; go on with `glassnet compare --resume {path}`"
        )
    if path.exists() and (not path.is_dir() or any(item.name != ".lock" for item in path.iterdir())):
        raise InputError(f"{str(path)!r} is not an empty folder; name an empty or a new one for the comparison")
    new_folder(path)
    facts = {"format": FORMAT, "created": datetime.now(UTC).isoformat(timespec="seconds"), "settings": settings}
    facts |= {"machine": describe_machine(), "options": [option.to_dict() for option in options], "outcomes": []}
    write_text(path / FILE, json.dumps(facts, indent=1) + "\n")


def _go_on(
    path: Path,
    seeds: int | None,
    device: str | None,
    threads: int | None,
    quiet: bool | None,
    say: Callable[[str], None],
) -> Comparison:
    """Train what is not finished, then write the results."""
    Comparison(path)  # no folder is made where there is none
    with FolderLock(path):
        remove_leftovers(path)
        comparison = Comparison(path)
        if seeds is not None:
            if seeds < comparison.settings["seeds"]:
                have = comparison.settings["seeds"]
                raise InputError(f"{str(path)!r} has {have} seeds, and {seeds} are asked for; they only grow")
            comparison.settings["seeds"] = seeds
        for name, value in (("device", device), ("threads", threads)):
            comparison.settings[name] = value or comparison.settings[name]
        total, begin = len(comparison.options) * comparison.settings["seeds"], time.perf_counter()
        say(f"{path}: {len(comparison.options)} options x {comparison.settings['seeds']} seeds, {comparison.budget}")
        try:
            for done, (option, seed) in enumerate(comparison.todo, 1):
                found = _train(comparison, option, seed, quiet)
                comparison.outcomes.append(found)
                _check_same_data(comparison.outcomes)
                comparison.save()
                left = len(comparison.todo) * (time.perf_counter() - begin) / done
                say(_progress(found, total - len(comparison.todo), total, left))
        except KeyboardInterrupt:
            finished = total - len(comparison.todo)
            comparison.write_results()
            say(f"interrupted, {finished} of {total} runs are finished; go on with: glassnet compare --resume {path}")
            raise
        comparison.save()
        comparison.write_results()
    return comparison


def _train(comparison: Comparison, option: Option, seed: int, quiet: bool | None) -> Outcome:
    """Train and judge one option with one seed, from wherever its run stands."""
    settings, folder = comparison.settings, f"{_place(comparison, option)}-seed{seed}"
    path, before = comparison.path / folder, time.process_time()
    silent = bool(quiet) or not sys.stderr.isatty()
    try:
        if (path / "run.json").exists():
            run = resume(path, device=settings["device"], threads=settings["threads"], quiet=silent)
        else:
            run = train(
                settings["data"],
                network=option.network,
                arguments=option.arguments,
                recipe=option.recipe,
                overrides=option.overrides,
                output=path,
                pretrained=settings["pretrained"],
                minutes=settings["budget"]["minutes"],
                device=settings["device"],
                threads=settings["threads"],
                seed=seed,
                quiet=silent,
            )
    except Diverged as error:
        return Outcome(option=option.name, seed=seed, run=folder, failed=str(error))
    if run.evaluation is None:
        judge_run(run, run_pictures(run), device=settings["device"], seed=seed)
    spent = time.process_time() - before
    return outcome(run, option=option.name, seed=seed, folder=folder, processor_seconds=spent)


def _place(comparison: Comparison, option: Option) -> str:
    """Return the option's folder name, numbered where two names look the same in a path."""
    same = [each.name for each in comparison.options if each.folder.lower() == option.folder.lower()]
    return option.folder if len(same) == 1 else f"{option.folder}-{same.index(option.name) + 1}"


def _check_same_data(outcomes: Sequence[Outcome]) -> None:
    """Raise `DataError` where the pictures changed between two runs."""
    seen = {each.fingerprint for each in outcomes if each.fingerprint}
    if len(seen) > 1:
        raise DataError(
            "the pictures have changed since the comparison began, so its runs cannot be compared; put them back and "
            "resume, or begin anew"
        )


def _progress(found: Outcome, done: int, total: int, left: float) -> str:
    """Say a finished run in a line."""
    if found.failed:
        return f"[{done}/{total}] {found.option}, seed {found.seed}: {found.failed}"
    rest = f"; about {max(1, round(left / 60))} min to go" if left else ""
    speed = f"{found.seconds:.0f} s, {found.pictures_per_second:,.0f} pictures/s"
    return f"[{done}/{total}] {found.option}, seed {found.seed}: validation {found.validation:.1%} in {speed}{rest}"


def _sayer(quiet: bool | None) -> Callable[[str], None]:
    """Return a function that prints a line to stderr, or nothing."""
    return (lambda text: None) if quiet else (lambda text: print(text, file=sys.stderr, flush=True))  # noqa: ARG005
