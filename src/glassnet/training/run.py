"""A run: the folder in which a training leaves everything. Reading one needs no lock; writing takes it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from glassnet.data.index import Index, scan
from glassnet.data.problems import write_problems_csv
from glassnet.data.splits import write_split_csv
from glassnet.errors import GlassnetError, InputError, RunError, StorageError
from glassnet.evaluation.judgement import Judgement
from glassnet.files import FolderLock, append_line, new_folder, storage_errors, write_text
from glassnet.models.network import Network
from glassnet.training.recipes import RECIPES, Recipe, Recipes

FORMAT = 1
BEGINNING = (".lock", "split.csv", "problems.csv", "recipe.toml")  # what a run killed before its run.json leaves


class Run:
    """A run folder that exists. Its files are attributes; what they hold is read when asked for.

    `network.safetensors` the network (best on validation), `last.safetensors` the last weights, `resume.safetensors`
    the exact state, `recipe.toml`, `run.json` (all that was decided), `split.csv`, `problems.csv`, `metrics.jsonl`
    (a line per validation), `evaluation.json` and `report.html` (written by the judges), `tensorboard/`.

    Raises `RunError` where `path` holds no run, or one of another version.
    """

    recipes: ClassVar[Recipes[Any]] = RECIPES  # the named ones of the run's task

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            facts = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise RunError(f"no run at {str(path)!r} (run.json: {reason}); name a run's folder") from error
        if not isinstance(facts, dict):
            raise RunError(f"no run at {str(path)!r} (run.json: it holds no table); name a run's folder")
        self.facts: dict[str, Any] = facts
        if self.facts.get("format") != FORMAT:
            raise RunError(f"{str(path)!r} has run format {self.facts.get('format')!r}; this glassnet reads {FORMAT}")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def network_path(self) -> Path:
        """The network file."""
        return self.path / "network.safetensors"

    @property
    def state_path(self) -> Path:
        """The exact state, from which `resume` goes on."""
        return self.path / "resume.safetensors"

    @property
    def metrics_path(self) -> Path:
        """The lines of metrics."""
        return self.path / "metrics.jsonl"

    @property
    def report(self) -> Path:
        """Where the report is, or will be."""
        return self.path / "report.html"

    @property
    def finished(self) -> bool:
        """Whether the training came to its end."""
        return bool(self.facts.get("finished"))

    @property
    def data(self) -> str:
        """The data source, as it was given (a path is absolute)."""
        return str(self.facts["settings"]["data"])

    @property
    def task(self) -> str:
        """What is trained: classification, detection, localisation."""
        return str(self.facts["settings"].get("task", "classification"))

    @cached_property
    def network(self) -> Network:
        """The network of this run."""
        if not self.network_path.exists():
            raise RunError(f"{str(self.path)!r} has no network yet; finish it with: glassnet resume {self.path}")
        return Network.load(self.network_path)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe it is trained by."""
        if not (self.path / "recipe.toml").is_file():
            raise RunError(f"{str(self.path)!r} has no readable recipe.toml")
        found: Recipe = self.recipes.find(str(self.path / "recipe.toml"))
        return found

    def index(self) -> Index:
        """Return the index of the data as a new scan finds it, split as it was for this run."""
        settings = self.facts["settings"]
        return scan(settings["data"], seed=settings["seed"], group_by=settings["group_by"])

    def metrics(self) -> list[dict[str, Any]]:
        """Return the validations so far, oldest first.

        Keys: epoch, step, train_loss, train_accuracy, learning_rate, pictures_per_second, seconds, and where there are
        validation pictures validation_loss, validation_accuracy, validation_macro_f1, validation_score, best.
        """
        try:
            lines = self.metrics_path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if line.endswith("}")]  # a killed writer may leave half a line

    @property
    def evaluation(self) -> Judgement | None:
        """The judgement on the test split, None before it was made."""
        path = self.path / "evaluation.json"
        return Judgement.from_dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def write_evaluation(self, judgement: Any) -> None:
        """Keep the judgement on the test split in `evaluation.json`."""
        write_text(self.path / "evaluation.json", json.dumps(judgement.to_dict(), indent=1, allow_nan=False) + "\n")

    def lock(self) -> FolderLock:
        """Return the lock that a writer holds; entering it raises `RunLocked` while another process does."""
        return FolderLock(self.path)

    def record(self, **facts: Any) -> None:
        """Add `facts` to run.json."""
        self.facts |= facts
        write_text(self.path / "run.json", json.dumps(self.facts, indent=1) + "\n")

    def add_metrics(self, line: Mapping[str, Any]) -> int:
        """Append a line of metrics and return the length of the file in bytes."""
        append_line(self.metrics_path, json.dumps(line))
        return self.metrics_path.stat().st_size

    def cut_metrics(self, length: int) -> None:
        """Forget the lines of metrics beyond `length` bytes: they are of steps that will be taken again."""
        if self.metrics_path.exists():
            with storage_errors(self.metrics_path), self.metrics_path.open("rb+") as file:
                file.truncate(length)


def check_output(path: Path) -> None:
    """Raise `InputError` unless `path` can become a run's folder: it is new, or empty."""
    if (path / "run.json").exists():
        raise InputError(
            f"there is a run in {str(path)!r} already; go on with `glassnet resume {path}`, or name another"
        )
    if path.exists() and not path.is_dir():
        raise InputError(f"{str(path)!r} is a file; name an empty or a new folder for the run")
    if path.is_dir() and any(item.name not in BEGINNING for item in path.iterdir()):
        raise InputError(f"{str(path)!r} is not empty; name an empty or a new folder for the run")
    parent = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    if not os.access(parent, os.W_OK):
        raise StorageError(f"cannot write into {str(parent)!r}: no permission; name another folder for the run")


def create_run(path: Path, recipe: Recipe, index: Index, **facts: Any) -> Run:
    """Make the folder of a new run and write down what was decided before training.

    run.json comes last and at once, so that a folder with one is a whole run. facts: plain data for it. Raises
    `InputError` where there is a run already, `StorageError`.
    """
    check_output(path)
    new_folder(path)
    write_split_csv(path / "split.csv", index.places(), index.label_names(), index.splits)
    write_problems_csv(path / "problems.csv", index.problems)
    recipe.save(path / "recipe.toml")
    created = datetime.now(UTC).isoformat(timespec="seconds")
    write_text(path / "run.json", json.dumps({"format": FORMAT, "created": created, **facts}, indent=1) + "\n")
    return Run(path)


def next_path(data: str | Path, parent: Path = Path("runs")) -> Path:
    """Return the next free folder for a run on `data`: runs/photos-1, runs/photos-2, ..."""
    name = re.sub(r"[^\w.-]+", "-", Path(data).expanduser().resolve().name if Path(data).exists() else str(data)).strip(
        "-."
    )
    name = name or "run"
    pattern = re.compile(re.escape(name) + r"-(\d+)")
    found = (pattern.fullmatch(path.name) for path in parent.iterdir()) if parent.is_dir() else ()
    return parent / f"{name}-{1 + max((int(match[1]) for match in found if match), default=0)}"


def claim_next(data: str | Path, parent: Path = Path("runs")) -> Path:
    """Make the folder `next_path` at once and return it: of trainings that start together each gets its own."""
    new_folder(parent)
    while True:
        path = next_path(data, parent)
        with storage_errors(path), suppress(FileExistsError):
            path.mkdir()
            return path


def is_run(path: str | Path) -> bool:
    """Whether `path` is the folder of a run."""
    try:
        Run(path)
    except GlassnetError:
        return False
    return True
