"""How data look in a terminal: pictures by class and split, then what is wrong with them, by name."""

from __future__ import annotations

from typing import Any

from glassnet.data.index import Index
from glassnet.data.problems import count_kinds, printable
from glassnet.data.splits import SPLITS
from glassnet.show import SHOWN_PROBLEMS, dump, print_table


def index(found: Index, *, json: bool) -> None:
    """Print what a scan found: pictures by class and split, then what is wrong, by name."""
    counts = found.counts()
    if json:
        dump(index_as_data(found))
        return
    rows = [(name, *(f"{value:,}" for value in row)) for name, row in zip(found.classes, counts.tolist(), strict=True)]
    rows.append(("all", *(f"{value:,}" for value in counts.sum(0).tolist())))
    print_table(("class", *SPLITS), rows)
    notes_and_problems(found)


def index_as_data(found: Index) -> dict[str, Any]:
    """Return what a scan found as JSON can hold it: pictures by class and split, and problems."""
    by_class = zip(found.classes, found.counts().tolist(), strict=True)
    return {
        "name": found.name,
        "pictures": len(found),
        "classes": {name: dict(zip(SPLITS, row, strict=True)) for name, row in by_class},
        "problems": [
            {"path": printable(p.path), "kind": p.kind, "reason": printable(p.reason), "split": p.split}
            for p in found.problems
        ],
        "problem_counts": count_kinds(found.problems),
        "fingerprint": found.fingerprint,
    }


def notes_and_problems(found: Index) -> None:
    """Print what a scan decided, and what is wrong, by name."""
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
