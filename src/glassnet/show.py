"""How results look in a terminal, as a table for people or as JSON for programs. Only results go to stdout."""

from __future__ import annotations

import csv
import json as jsonlib
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from glassnet.data.problems import count_kinds, printable
from glassnet.files import atomic_path, storage_errors

if TYPE_CHECKING:
    from glassnet.comparison.compare import Comparison
    from glassnet.data.builtin import Description as DataDescription
    from glassnet.data.index import Index
    from glassnet.evaluation.judgement import Judgement
    from glassnet.models.network import Network, Prediction
    from glassnet.training.find_lr import Finding
    from glassnet.training.recipes import Recipe
    from glassnet.training.run import Run

SHOWN_PROBLEMS = 20


def run(run: Run, *, json: bool) -> None:
    """Print what a training gave: the judgement, and where the report and the network are."""
    judged = run.evaluation
    places = {"run": str(run.path), "network": str(run.network_path)}
    if run.report.exists():
        places["report"] = str(run.report)
    if json:
        scores = {} if judged is None else judged.to_dict()
        dump({**places, **{key: scores[key] for key in ("accuracy", "macro_f1", "n", "split") if key in scores}})
        return
    if judged is not None:
        judgement(judged, json=False)
    for what, where in places.items():
        print(f"{what:8} {where}")


def judgement(judged: Judgement, *, json: bool) -> None:
    """Print a judgement: a line of headline numbers, then a row for each class."""
    if json:
        dump(judged.to_dict())
        return
    low, high = judged.accuracy_interval
    console().print(
        f"[bold]accuracy {judged.accuracy:.1%}[/bold] ({low:.1%} to {high:.1%} at 95 %)   "
        f"macro F1 {judged.macro_f1:.3f}   n {judged.n:,} {judged.split} pictures   "
        f"always saying {escape(printable(judged.baseline_class))!r} would give {judged.baseline:.1%}",
        soft_wrap=True,
    )
    rows = [
        (row.name, percent(row.precision), percent(row.recall), f"{row.f1:.3f}", f"{row.support:,}")
        for row in judged.per_class
    ]
    print_table(("class", "precision", "recall", "F1", "pictures"), rows)
    for pair in judged.confused_pairs[:3]:
        print(f"{pair.count} of {printable(pair.label)} called {printable(pair.predicted)} ({pair.share:.0%})")


def left_out(judged: Judgement) -> None:
    """Say on stderr which pictures could not be judged, and why."""
    for line in judged.left_out[:SHOWN_PROBLEMS]:
        print(f"left out: {line}", file=sys.stderr)
    if len(judged.left_out) > SHOWN_PROBLEMS:
        print(f"... and {len(judged.left_out) - SHOWN_PROBLEMS} more; --json lists them all", file=sys.stderr)


def comparison(found: Comparison, *, form: str) -> None:
    """Print what a comparison found as `form` table, json or csv; a table has the sentences below it."""
    from glassnet.comparison.results import to_csv
    from glassnet.comparison.summary import TITLES, cells

    if form == "csv":
        sys.stdout.write(to_csv(found.rows))
        return
    if form == "json":
        dump({"path": str(found.path), **found.to_dict()})
        return
    if found.study is not None:
        print(found.study.question)
    print_table(TITLES, [cells(row) for row in found.rows])
    for sentence in found.findings:
        print(printable(sentence))
    print()
    print(found.path)


def studies(known: dict[str, str], *, json: bool) -> None:
    """Print the ready-made studies."""
    if json:
        dump(known)
        return
    print_table(("study", "question"), list(known.items()), left=(0, 1))


def predictions(answers: Iterable[Prediction], form: str, output: Path | None) -> int:
    """Write predictions as they come, as `form` table, json (one object a line) or csv; return how many failed."""
    failed = 0
    with ExitStack() as stack:
        stream: TextIO = sys.stdout
        if output is not None:
            path = stack.enter_context(atomic_path(output))
            stream = stack.enter_context(path.open("w", encoding="utf-8", newline=""))
            stack.enter_context(storage_errors(output))
        write = {"table": as_line, "json": as_json_line, "csv": csv.writer(stream).writerow}[form]
        if form == "csv":
            csv.writer(stream).writerow(("path", "label", "probability", "top", "error"))
        for answer in answers:
            failed += answer.error is not None
            if form == "csv":
                write(as_row(answer))  # type: ignore[operator]
            else:
                stream.write(write(answer))  # type: ignore[operator]
    return failed


def as_json_line(answer: Prediction) -> str:
    """Return one JSON object and a line break; a name that is not UTF-8 is written with escapes."""
    return jsonlib.dumps(answer.to_dict()) + "\n"


def as_line(answer: Prediction) -> str:
    """Return a line for people: the label first, so that a column of them can be read down."""
    path = printable(answer.path or "-")
    if answer.error is not None:
        return f"{'error':24} {'':>7}  {path}: {printable(answer.error)}\n"
    others = ", ".join(f"{printable(name)} {share:.1%}" for name, share in answer.top[1:])
    label = printable(answer.label or "")
    return f"{label:24} {answer.probability:>7.1%}  {path}{f'  ({others})' if others else ''}\n"


def as_row(answer: Prediction) -> tuple[str, ...]:
    """Return the cells of a CSV row; `top` is label=probability, separated by semicolons."""
    top = ";".join(f"{printable(name)}={share:.6f}" for name, share in answer.top)
    probability = "" if answer.probability is None else f"{answer.probability:.6f}"
    return (printable(answer.path or ""), printable(answer.label or ""), probability, top, answer.error or "")


def index(found: Index, *, json: bool) -> None:
    """Print what a scan found: pictures by class and split, then what is wrong, by name."""
    counts = found.counts()
    if json:
        dump(
            {
                "name": found.name,
                "pictures": len(found),
                "classes": {
                    name: dict(zip(SPLITS, row, strict=True))
                    for name, row in zip(found.classes, counts.tolist(), strict=True)
                },
                "problems": [
                    {"path": printable(p.path), "kind": p.kind, "reason": printable(p.reason), "split": p.split}
                    for p in found.problems
                ],
                "problem_counts": count_kinds(found.problems),
                "fingerprint": found.fingerprint,
            }
        )
        return
    rows = [(name, *(f"{value:,}" for value in row)) for name, row in zip(found.classes, counts.tolist(), strict=True)]
    rows.append(("all", *(f"{value:,}" for value in counts.sum(0).tolist())))
    print_table(("class", *SPLITS), rows)
    for note in found.notes:
        print(printable(note))
    if not found.problems:
        print(f"{len(found):,} pictures, no problems found")
        return
    kinds = ", ".join(f"{count} {kind}" for kind, count in count_kinds(found.problems).items())
    left_out = sum(problem.quarantined for problem in found.problems)
    print(f"{len(found):,} usable pictures; {len(found.problems)} problems ({left_out} left out): {kinds}")
    for problem in found.problems[:SHOWN_PROBLEMS]:
        print(f"  {problem}")
    if len(found.problems) > SHOWN_PROBLEMS:
        print(f"  ... and {len(found.problems) - SHOWN_PROBLEMS} more; --output problems.csv writes them all")


SPLITS = ("train", "validation", "test")


def networks(entries: Sequence[dict[str, Any]], *, json: bool) -> None:
    """Print the registry: a row for each network."""
    if json:
        dump(entries)
        return
    rows = [
        (
            entry["name"],
            " x ".join(str(side) for side in entry["input_size"]),
            f"{entry['parameters'] / 1e6:.2f} M",
            f"{entry['multiply_adds'] / 1e6:,.1f} M",
            ", ".join(entry["sources"]),
            entry["paper"].split(",")[0],
        )
        for entry in entries
    ]
    print_table(("network", "input", "parameters", "multiply-adds", "pretrained", "paper"), rows, left=(0, 1, 4, 5))


def weights(rows: Sequence[dict[str, Any]], *, json: bool) -> None:
    """Print whose weights the networks can take: a row for each layout."""
    if json:
        dump(rows)
        return
    here = {True: "on this machine", False: "to download or install", None: "import a file"}
    cells = [(row["network"], row["layout"], row["about"], here[row["ready"]], row["where"] or "") for row in rows]
    print_table(("network", "layout", "whose", "trained weights", "from"), cells, left=range(5))


def imported(network: Network, output: Path, *, json: bool) -> None:
    """Print what came out of an import."""
    card = network.card
    if json:
        facts = {"architecture": card.architecture, "arguments": card.arguments, "classes": len(card.classes)}
        dump({"network": str(output), **facts, "parameters": network.num_parameters, "parent": card.parent})
        return
    print(
        f"{output}: {card.architecture} for {len(card.classes):,} classes, {network.num_parameters:,} parameters, "
        f"from {card.parent}; no tensor missing or left over"
    )


def recipes(named: dict[str, tuple[str, Recipe]], *, json: bool) -> None:
    """Print the named recipes: what each is for and its main choices."""
    if json:
        from dataclasses import asdict

        dump({name: asdict(recipe) for name, (_, recipe) in named.items()})
        return
    rows = []
    for name, (meaning, recipe) in named.items():
        length = f"{recipe.steps} steps" if recipe.steps else f"{recipe.epochs:g} epochs"
        rows.append((name, length, recipe.optimiser, f"{recipe.learning_rate:g}", str(recipe.batch_size), meaning))
    print_table(("recipe", "length", "optimiser", "rate", "batch", "for"), rows, left=(0, 1, 2, 5))


def data_sets(entries: Sequence[DataDescription], *, json: bool) -> None:
    """Print the built-in data sets."""
    if json:
        from dataclasses import asdict

        dump([asdict(entry) for entry in entries])
        return
    rows = [
        (
            entry.name,
            f"{entry.classes}",
            f"{entry.train:,}",
            f"{entry.test:,}",
            f"{entry.height} x {entry.width} x {entry.channels}" if entry.height else "varies",
            entry.licence,
            entry.where,
        )
        for entry in entries
    ]
    print_table(("name", "classes", "train", "test", "size", "licence", "where"), rows, left=(0, 4, 5, 6))


def learning_rate(found: Finding, output: Path, *, json: bool) -> None:
    """Print the suggestion of the learning-rate finder and where its plot is."""
    if json:
        dump(
            {
                "suggestion": found.suggestion,
                "rates": list(found.rates),
                "losses": list(found.losses),
                "plot": str(output),
            }
        )
        return
    print(f"learning rate {found.suggestion:.3g}: the loss falls fastest there and is still safe; the plot is {output}")


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> None:
    """Print a table with the columns in `left` aligned left and the others right; cells are data, not markup."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for number, title in enumerate(titles):
        table.add_column(title, justify="left" if number in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    console().print(table)


def percent(share: float) -> str:
    """Return 0.1234 as "12.3 %"."""
    return f"{share:.1%}"


def console() -> Console:
    """Return a console on stdout: as wide as the terminal, and never wrapped where there is none."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def dump(value: Any) -> None:
    """Print `value` as indented JSON."""
    print(jsonlib.dumps(value, indent=2))
