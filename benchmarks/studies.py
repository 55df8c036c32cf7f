"""All ready-made studies of `glassnet compare`, one after the other: what they find, and what they take.

Three seeds of five epochs on `fashion-mini`, one thread, so that several can run beside each other; the pictures per
second depend on what else the machine was doing, the processor seconds hardly.

    python benchmarks/studies.py [--only lrn,head] [--keep FOLDER]

A study whose folder in `--keep` is finished is not run again. Writes benchmarks/results/studies.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from glassnet.comparison.compare import FILE as FACTS
from glassnet.comparison.compare import Comparison, compare
from glassnet.comparison.studies import names

REPOSITORY = Path(__file__).resolve().parents[1]


def study(name: str, folder: Path) -> Comparison:
    """Return the finished comparison in `folder`, made now where it is not there."""
    if (folder / FACTS).exists():
        found = Comparison(folder)
        return found if found.finished else compare(resume=folder, quiet=True)
    return compare(study=name, output=folder, threads=1, quiet=True)


def section(found: Comparison) -> str:
    """Return what the study's own README says, its heading one level lower, without its figure and last paragraph."""
    text = (found.path / "README.md").read_text(encoding="utf-8").strip()
    lines = text.rpartition("\n\n")[0].splitlines()
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in lines if "compare.png" not in line)


def main() -> None:
    """Run the studies and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(names()))
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--output", default=str(REPOSITORY / "benchmarks/results/studies.md"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        found = [study(name, folder / name) for name in arguments.only.split(",")]
        machine = found[0].machine
        text = [
            "# The ready-made studies",
            "",
            f"{max(each.created for each in found)[:10]}; {machine['cpu']}; torch {machine['torch']}, "
            f"glassnet {machine['glassnet']}.",
            "Made by `python benchmarks/studies.py`.",
            *(f"\n{section(each)}" for each in found),
        ]
        Path(arguments.output).write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
