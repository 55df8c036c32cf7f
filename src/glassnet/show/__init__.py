"""How results look in a terminal, as a table for people or as JSON for programs. Only results go to stdout."""

from __future__ import annotations

import csv
import json as jsonlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from glassnet.data.problems import printable
from glassnet.files import atomic_path, storage_errors
from glassnet.report.layer_rows import Row, rows

if TYPE_CHECKING:
    from glassnet.comparison.compare import Comparison
    from glassnet.data.builtin import Description as DataDescription
    from glassnet.detection.judging.judgement import DetectionJudgement
    from glassnet.detection.localisation.judgement import LocalisationJudgement
    from glassnet.evaluation.judgement import Judgement
    from glassnet.explain.figures.rows import Explained
    from glassnet.explain.judging.verdict import Verdict
    from glassnet.explain.methods import Method
    from glassnet.explain.patches import ChannelPatches
    from glassnet.models.inspection import Inspection
    from glassnet.models.network import Network, Prediction
    from glassnet.training.find_lr import Finding
    from glassnet.training.recipes import Recipe
    from glassnet.training.run import Run


HEADLINES = ("accuracy", "macro_f1", "mean_iou", "map", "map50", "n", "split")
"""Of a judgement, what `glassnet train --json` prints."""

SHOWN_PROBLEMS = 20


def run(run: Run, *, json: bool) -> None:
    """Print what a training gave: the judgement, and where the report and the network are."""
    judged: Any = run.evaluation
    places = {"run": str(run.path), "network": str(run.network_path)}
    if run.report.exists():
        places["report"] = str(run.report)
    if json:
        scores = {} if judged is None else judged.to_dict()
        dump({**places, **{key: scores[key] for key in HEADLINES if key in scores}})
        return
    if judged is not None:
        judgement(judged, json=False)
    for what, where in places.items():
        print(f"{what:8} {where}")


def judgement(judged: Judgement | DetectionJudgement | LocalisationJudgement, *, json: bool) -> None:
    """Print a judgement: a line of headline numbers, then a row for each class."""
    from glassnet.evaluation.judgement import Judgement

    if json:
        dump(judged.to_dict())
        return
    if not isinstance(judged, Judgement):
        from glassnet.show import detection

        detection.judgement(judged)
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


def left_out(judged: Judgement | DetectionJudgement | LocalisationJudgement) -> None:
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


def networks(entries: Sequence[dict[str, Any]], *, json: bool) -> None:
    """Print the registry: under each paper, oldest first, its networks, and the arguments that they take."""
    if json:
        dump(entries)
        return
    ordered = sorted(entries, key=lambda entry: (year(entry["paper"]), entry["paper"], natural(entry["name"])))
    line = "  {:18}  {:>9}  {:>10}  {:>13}  {}"
    console().print(f"[bold]{line.format('network', 'input', 'parameters', 'multiply-adds', 'pretrained')}[/bold]")
    for paper, family in groupby(ordered, key=itemgetter("paper")):
        console().print(f"\n{escape(paper)}")
        taking: dict[str, list[str]] = {}
        for entry in family:
            size = "x".join(str(side) for side in entry["input_size"])
            count, adds = entry["parameters"] / 1e6, entry["multiply_adds"] / 1e6
            costs = f"{count:.2f} M", f"{adds:,.{0 if adds >= 100 else 1}f} M"
            print(line.format(entry["name"], size, *costs, " ".join(entry["sources"])).rstrip())
            given = " ".join(f"{name}={toml(value)}" for name, value in entry["arguments"].items())
            taking.setdefault(given, []).append(entry["name"])
        for given, names in taking.items():
            whose = f" ({', '.join(names)})" if len(taking) > 1 else ""
            if given:
                console().print(f"  [dim]--arg {escape(given)}{whose}[/dim]")
        if any("auxiliary=" in given for given in taking):
            console().print("  [dim]parameters include those of the auxiliary heads, which only training uses[/dim]")


def year(paper: str) -> str:
    """Return the year in a paper's line, as in "Simonyan, Zisserman 2014, Very deep ..."."""
    return match[0] if (match := re.search(r"\b\d{4}\b", paper)) else ""


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts resnet18 before resnet101."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def toml(value: Any) -> str:
    """Return an argument's value as it is typed."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def weights(rows: Sequence[dict[str, Any]], *, json: bool) -> None:
    """Print whose weights the networks can take: a row for each layout."""
    if json:
        dump(rows)
        return
    here = {True: "on this machine", False: "to download or install", None: "import a file"}
    cells = [
        (row["network"], row["layout"], row["about"], here[row["ready"]], last_part(row["where"] or "")) for row in rows
    ]
    print_table(("network", "layout", "whose", "trained weights", "from"), cells, left=range(5))


def last_part(where: str) -> str:
    """Return the file's name of an address, and what is none as it is; --json has the whole."""
    return where.rpartition("/")[2] if where.startswith("https://") else where


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


def inspection(found: Inspection, *, depth: int | None = None, full: bool = False, json: bool = False) -> None:
    """Print what a network is and costs: a row for each layer or block, totals, memory, what its tricks save."""
    if json:
        dump(found.to_dict())
        return
    from glassnet.nn.trace.alternatives import sentences

    traced, say = found.trace, console()
    size = " x ".join(map(str, traced.input_shape))
    say.print(f"[bold]{escape(found.title)}[/bold] for a picture of {size} (channels, height, width)", soft_wrap=True)
    listed = rows(traced, depth=depth, full=full)
    say.print(layer_table(listed, traced.multiply_adds))
    if any(row.times > 1 for row in listed):
        print("A row such as (2x) is for all its blocks, the rows below it for one of them.\n")
    print_costs(found)
    for sentence in sentences(found.alternatives):
        say.print(f"\n{escape(sentence)}")


def layer_table(listed: Sequence[Row], total: int) -> Table:
    """Return the table of the rows of a trace; shares are of `total` multiply-adds, the longest bar is the largest."""
    from glassnet.nn.trace.alternatives import short

    levels = [row.level for row in listed] + [0]
    leaves = [row for row, below in zip(listed, levels[1:], strict=True) if below <= row.level]
    most = max((row.multiply_adds for row in leaves), default=0)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for title in ("layer", "what it does", "output", "parameters", "multiply-\nadds", "share", "sees"):
        left = title in ("layer", "what it does", "share")
        table.add_column(
            title, justify="left" if left else "right", overflow="fold", no_wrap=title in ("output", "share")
        )
    for row in listed:
        share = row.multiply_adds / max(total, 1)
        drawn = bar(row.multiply_adds / most) if most and row in leaves else ""
        table.add_row(
            " " * row.level + escape(row.label) + (f" ({row.times}x)" if row.times > 1 else ""),
            escape(row.what),
            "x".join(map(str, row.last.output_shape)),
            short(row.parameters) if row.parameters else "",
            short(row.multiply_adds) if row.multiply_adds else "",
            f"{drawn:5} {percentage(share):>4}" if share else "",
            sides(row.last.receptive_field),
            style="bold" if row.heading and row.level == 0 else None,
        )
    return table


def print_costs(found: Inspection) -> None:
    """Print the totals and what they mean in memory."""
    memory, size = found.memory, megabytes
    print(f"parameters     {found.trace.parameters:,}")
    print(f"multiply-adds  {found.trace.multiply_adds:,} for one picture")
    print(
        f"inference      {size(memory.inference)}: weights {size(memory.weights)}, "
        f"outputs in use at one time {size(memory.peak_activations)}"
    )
    print(
        f"training       {size(memory.training)} in batches of {memory.batch_size}: weights {size(memory.weights)}, "
        f"gradients {size(memory.gradients)},\n"
        f"               momentum {size(memory.optimiser_state)}, saved activations {size(memory.saved_activations)}"
    )


def percentage(share: float) -> str:
    """Return 0.25 as "25%", and what would round to nothing as "<1%"."""
    return f"{share:.0%}" if share >= 0.005 else "<1%"


def bar(share: float, width: int = 5) -> str:
    """Return a bar of at most `width` letters, in eighths of one."""
    eighths = round(share * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def sides(pair: tuple[int, int]) -> str:
    """Return (7, 7) as "7" and (3, 5) as "3x5"."""
    return str(pair[0]) if pair[0] == pair[1] else "x".join(map(str, pair))


def megabytes(count: int) -> str:
    """Return a number of bytes as "46.8 MB", "3.50 GB" or "12.3 kB"."""
    for size, unit, form in ((1e9, "GB", ".2f"), (1e6, "MB", ".1f")):
        if count >= size:
            return f"{count / size:{form}} {unit}"
    return f"{count / 1e3:.1f} kB"


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


def explanations(rows: Sequence[Explained], path: Path, *, json: bool) -> None:
    """Print what was explained: a row for each map, then where the figure is."""
    if json:
        listed = [{"path": row.path, "error": row.error} for row in rows if row.error is not None]
        listed += [found.to_dict() for row in rows for found in row.explanations]
        dump({"output": str(path), "explanations": listed})
        return
    cells = []
    for row in rows:
        if row.error is not None:
            cells.append((row.path or "", "error", "", "", "", row.error))
        for found in row.explanations:
            score = "" if found.score is None else percent(found.score)
            layer = (found.layer or "").removeprefix("body.")
            cells.append((found.path or "", found.title, found.label or "", score, layer, found.note))
    print_table(("picture", "method", "class", "score", "layer", "note"), cells, left=(0, 1, 2, 4, 5))
    print(path)


def methods(known: Mapping[str, Method], *, json: bool) -> None:
    """Print the methods of `explain`: what each answers, and its paper."""
    if json:
        dump([{"name": m.name, "title": m.title, "question": m.question, "paper": m.paper} for m in known.values()])
        return
    rows = [(m.name, m.question, m.paper) for m in known.values()]
    print_table(("method", "question", "paper"), rows, left=(0, 1, 2))


def verdict(found: Verdict, *, json: bool) -> None:
    """Print a judgement of methods."""
    if json:
        dump(found.to_dict())
        return
    listed = found.table()
    print_table(tuple(listed[0]), [tuple(row.values()) for row in listed])
    for sentence in found.sentences:
        print(printable(sentence))
    for path, reason in found.skipped:
        print(f"left out: {printable(path)}: {printable(reason)}", file=sys.stderr)


def patches(found: Sequence[ChannelPatches], path: Path, *, json: bool) -> None:
    """Print the strongest answer of each channel, and where the figure is."""
    if json:
        listed = [
            {
                "layer": one.layer.name,
                "channel": one.channel,
                "dead": one.dead,
                "patches": [
                    {"path": p.where, "label": p.label, "value": p.value, "box": list(p.box)} for p in one.patches
                ],
            }
            for one in found
        ]
        dump({"output": str(path), "pictures": found[0].pictures if found else 0, "channels": listed})
        return
    for one in found:
        best = f"strongest {one.patches[0].value:.3g} in {printable(one.patches[0].where)}" if one.patches else ""
        print(f"{one.title:40} {best}".rstrip())
    print(path)


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> None:
    """Print a table with the columns in `left` aligned left and the others right; cells are data, not markup."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for number, title in enumerate(titles):
        table.add_column(title, justify="left" if number in left else "right", overflow="fold", no_wrap=number == 0)
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
