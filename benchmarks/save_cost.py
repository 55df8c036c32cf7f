"""What saving the exact state costs: at most 2 % of training time.

Run:  python benchmarks/save_cost.py [--minutes 4]

Trains in this process, through `glassnet.train`'s own code, networks of several sizes on fashion-mini with a moving
average of the weights (so that a state holds the weights four times: now, averaged, best, momentum), and reports what
the run itself counted: how often it saved, and the share of the training time that went into it. The interval between
saves is at least a minute and 50 times the last save, so trainings shorter than a minute save once, at the end.
Writes benchmarks/results/save_cost.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import date
from pathlib import Path

from glassnet.nn.device import describe_machine
from glassnet.training.train import train

TARGET = 0.02
RESULT = Path(__file__).parent / "results" / "save_cost.md"
NETWORKS: dict[str, dict[str, object]] = {"lenet5": {}, "mobilenet_v2": {}, "resnet18": {"stem": "small"}}
LONGEST = 2.0  # minutes that are a whole measurement: shorter ones have no save but the last


def measure(name: str, minutes: float, folder: Path) -> str:
    """Train `name` for about `minutes` and return a row of the table."""
    run = train(
        "fashion-mini",
        network=name,
        recipe="standard",
        arguments=NETWORKS[name],
        minutes=minutes,
        overrides={"size": 28, "crop_scale": 0.0},
        output=folder / name,
        quiet=True,
    )
    saving, seconds = run.facts["saving"], run.facts["seconds"]
    share = saving["seconds"] / (
        seconds + saving["seconds"] / max(1, saving["times"])
    )  # the last save follows the loop
    size = run.state_path.stat().st_size / 1e6
    each = 1000 * saving["seconds"] / saving["times"]
    steps = run.facts["last_step"]
    row = f"| {name} | {size:.1f} | {steps:,} | {seconds:.0f} | {saving['times']} | {each:.0f} | {share:.2%} |"
    print(row, flush=True)
    return row


def main() -> int:
    """Measure each network and write the result; return 1 where the target was missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=4.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = [measure(network, arguments.minutes, Path(name)) for network in NETWORKS]
    machine = ", ".join(f"{key} {value}" for key, value in describe_machine().items())
    lines = [
        "# What saving the exact state costs",
        "",
        "fashion-mini at 28 x 28, recipe standard (SGD with momentum, averaged weights), planned into"
        f" {arguments.minutes:g} minutes each, n = 1. Target: at most {TARGET:.0%} of the training time.",
        "",
        "| network | state, MB | steps | training, s | saves | ms each | share of the time |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"Machine and versions: {machine}. {date.today()}.",
        "Script: benchmarks/save_cost.py",
        "",
    ]
    if arguments.minutes >= LONGEST:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text("\n".join(lines))
    shares = [float(row.rsplit("|", 2)[1].strip(" %")) / 100 for row in rows]
    return int(max(shares) > TARGET)


if __name__ == "__main__":
    sys.exit(main())
