"""Transfer learning on photographs of clothes: how good, and how long from nothing cached.

Each training is the whole command in a fresh process, `glassnet train FOLDER --recipe transfer`: imports, scan,
decoding, features of the frozen EfficientNet-Lite0, the linear probe, scoring the test pictures and the report are all
in its time. The report's explanations, which are given ten seconds of their own, are left out (--no-explain) but for
the last row. "Cold" begins with an empty cache (the files themselves are in the page cache); "warm" is the same command
once more, with the decoded pictures and the features cached. The official split: everything is chosen on validation,
the test pictures are judged once at the end. The probe draws no random numbers that matter, so seeds agree.

    python benchmarks/transfer.py [--rounds 3] [--best]      # --best: also the recipe `best`, up to 25 minutes

The pictures are looked for in $GLASSNET_DATA/clothing, else ../shared/data/clothing. Writes results/transfer.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / "transfer.md"


def train(folder: Path, recipe: str, cache: Path, output: Path, *, explain: bool = False) -> dict[str, Any]:
    """Run the command and return its seconds, what it printed, and its last validation."""
    command = [
        sys.executable,
        "-m",
        "glassnet",
        "train",
        str(folder),
        "--network",
        "efficientnet_lite0",
        "--pretrained",
    ]
    command += ["--recipe", recipe, "--output", str(output), "--json", "--quiet"]
    command += [] if explain else ["--no-explain"]
    started = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"GLASSNET_CACHE": str(cache)}
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    facts = json.loads((output / "run.json").read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    best = max(line["validation_accuracy"] for line in lines)
    return answer | {"seconds": seconds, "training": facts["seconds"], "validation": best, "machine": facts["machine"]}


def main() -> None:
    """Read the command line, run everything, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--best", action="store_true", help="also the recipe `best`, once")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    data = Path(os.environ.get("GLASSNET_DATA", REPOSITORY.parent / "shared" / "data")) / "clothing"
    runs: dict[str, list[dict[str, Any]]] = {
        "transfer, cold": [],
        "transfer, warm": [],
        "transfer, warm, explained": [],
        "best, cold": [],
    }
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as work:
            for temperature in ("cold", "warm", "warm, explained"):
                explain = temperature.endswith("explained")
                found = train(data, "transfer", Path(work) / "cache", Path(work) / temperature, explain=explain)
                runs[f"transfer, {temperature}"].append(found)
                print(f"round {number + 1}, {temperature}: {json.dumps(found)}", flush=True)
    if options.best:
        with tempfile.TemporaryDirectory() as work:
            runs["best, cold"].append(train(data, "best", Path(work) / "cache", Path(work) / "run"))
            print(f"best: {json.dumps(runs['best, cold'][-1])}", flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(markdown({name: found for name, found in runs.items() if found}), encoding="utf-8")
    print(f"written: {options.output}")


def markdown(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Return the results as a page."""
    machine = next(iter(runs.values()))[0]["machine"]
    lines = ["# Transfer learning on photographs of clothes", ""]
    lines += [
        "3,068 / 341 / 372 photographs of 10 classes, official split; EfficientNet-Lite0 with ImageNet weights.",
        "",
    ]
    lines += ["| recipe | n | test accuracy (372) | validation | whole command, s: median (all) | training part, s |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, found in runs.items():
        seconds = sorted(run["seconds"] for run in found)
        every = ", ".join(f"{value:.1f}" for value in seconds)
        training = statistics.median(run["training"] for run in found)
        accuracy = statistics.mean(run["accuracy"] for run in found)
        validation = statistics.mean(run["validation"] for run in found)
        lines.append(
            f"| {name} | {len(found)} | {accuracy:.1%} | {validation:.1%} | "
            f"{statistics.median(seconds):.1f} ({every}) | {training:.1f} |"
        )
    lines += ["", f"Machine and versions: {json.dumps(machine)}. {datetime.now(UTC):%Y-%m-%d}.", ""]
    lines += ["The first lines of `benchmarks/transfer.py` say what the times include.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
