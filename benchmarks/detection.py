"""How good a detector becomes: blood cells (BCCD) by their official split, raccoons in five folds.

Every training is a fresh process and the ordinary product path, `glassnet.train(DATA, ...)`, with the recipe `detect`
and the fields of `SETTINGS`; the best weights and the thresholds are chosen on validation pictures, the test pictures
are judged once per seed. COCO's numbers are pycocotools's too (a test holds that), with at most 100 boxes a picture.

BCCD: train on train, choose on val, test once, for each seed. Raccoon: fold k tests the pictures whose place in the
sorted list of all file names is k modulo 5; of the others every tenth validates. Its exact copies (four of the 200
pictures) are left out, so that no fold tests what it has learnt.

    python benchmarks/detection.py [--only bccd] [--seeds 3] [--folds 0,1,2,3,4] [--keep FOLDER]

Reads $GLASSNET_DATA or ../shared/data. Writes benchmarks/results/detection.md.
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
DATA = Path(os.environ.get("GLASSNET_DATA", REPOSITORY.parent / "shared" / "data"))
SETTINGS: dict[str, dict[str, Any]] = {
    "bccd": {"flip_vertical": 0.5},  # a microscope's pictures have no up
    "raccoon": {},
}
TARGETS = {"bccd": {"map50": 0.88, "map": 0.55}, "raccoon": {"map50": 0.80}}
FOLDS = 5


def once(data: str, output: str, seed: int, settings: dict[str, Any]) -> None:
    """Train and judge; print what came out."""
    import glassnet

    begin = time.perf_counter()
    run = glassnet.train(data, output=output, overrides=settings, seed=seed, explain=False, quiet=True)
    seconds = time.perf_counter() - begin
    judged = run.evaluation.to_dict()
    found = {name: judged[name] for name in ("map", "map50", "map75", "n", "objects", "errors", "cost", "by_size")}
    found["per_class"] = {row["name"]: [row["ap50"], row["ap"]] for row in judged["per_class"]}
    best = max(run.metrics(), key=lambda line: line["validation_score"])
    found |= {"validation_map": best["validation_map"], "validation_map50": best["validation_map50"]}
    print(json.dumps(found | {"seconds": seconds, "training_seconds": run.facts["seconds"], "reason": reason(run)}))


def reason(run: Any) -> str:
    """Return the line that says what was chosen."""
    return str(run.facts["decided"]["reason"])


def folds(folder: Path, numbers: list[int]) -> list[Path]:
    """Write the raccoons once for each fold, as CSV with splits; return the tables' folders."""
    from glassnet.data.annotations.scan import scan_boxes
    from glassnet.data.annotations.write import write_annotations

    source = DATA / "raccoon"
    names = sorted(path.name for path in (source / "images").iterdir())
    made = []
    for fold in numbers:
        index = scan_boxes(source)
        rest = [name for place, name in enumerate(names) if place % FOLDS != fold]
        validation = set(rest[::10])
        for item in range(len(index)):
            name = Path(index.where(item)).name
            index.splits[item] = 2 if name not in rest else 1 if name in validation else 0
        made.append(folder / f"raccoon-{fold}")
        write_annotations(index, made[-1], "csv", copy_pictures="link")
    return made


def answer(data: Path, output: Path, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Run `once` in a process of its own."""
    command = [sys.executable, __file__, "--once", json.dumps([str(data), str(output), seed, settings])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    found = dict(json.loads(done.stdout.splitlines()[-1]))
    print(output.name, {name: round(found[name], 4) for name in ("map", "map50", "seconds")}, flush=True)
    return found


def table(found: dict[str, dict[str, Any]]) -> list[str]:
    """Return a row for each training, and their mean."""
    rows = [
        "| training | mAP50 | mAP | mAP75 | validation mAP50, mAP | each class's AP50, AP | minutes |",
        "|---|---:|---:|---:|---|---|---:|",
    ]
    for name, one in found.items():
        classes = "; ".join(f"{label} {ap50:.3f}, {ap:.3f}" for label, (ap50, ap) in one["per_class"].items())
        rows.append(
            f"| {name} | {one['map50']:.3f} | {one['map']:.3f} | {one['map75']:.3f} | "
            f"{one['validation_map50']:.3f}, {one['validation_map']:.3f} | {classes} | {one['seconds'] / 60:.1f} |"
        )
    means = {name: [one[name] for one in found.values()] for name in ("map50", "map", "map75")}
    spread = {
        name: f"{statistics.mean(values):.3f}" + (f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else "")
        for name, values in means.items()
    }
    return [*rows, f"| mean ± sd | {spread['map50']} | {spread['map']} | {spread['map75']} | | | |"]


def mistakes(found: dict[str, dict[str, Any]]) -> list[str]:
    """Return what each kind of mistake costs, the mean over trainings."""
    kinds = list(next(iter(found.values()))["cost"])
    cost = {kind: statistics.mean(one["cost"][kind] for one in found.values()) for kind in kinds}
    return ["What mAP50 would gain without each kind of mistake: " + ", ".join(f"{k} {v:.3f}" for k, v in cost.items())]


def main() -> None:
    """Train all, one after the other, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--keep", type=Path, help="where the runs stay; else they go to a temporary folder")
    parser.add_argument("--output", default=str(REPOSITORY / "benchmarks/results/detection.md"))
    parser.add_argument("--once", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        once(*json.loads(arguments.once))
        return
    from glassnet.nn.device import describe_machine

    machine = describe_machine()
    text = [
        "# Detectors",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine['cpu']}, {machine['threads']} threads; torch {machine['torch']}, "
        f"glassnet {machine['glassnet']}.",
        "Made by `python benchmarks/detection.py`, whose first lines say what is measured.",
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in [arguments.only] if arguments.only else list(SETTINGS):
            jobs = [(f"seed {seed}", DATA / "bccd", seed) for seed in range(arguments.seeds)]
            if name == "raccoon":
                numbers = [int(number) for number in arguments.folds.split(",")]
                jobs = [(f"fold {n}", path, 0) for n, path in zip(numbers, folds(folder, numbers), strict=True)]
            found = {
                label: answer(data, folder / f"{name}-{label.replace(' ', '-')}", seed, SETTINGS[name])
                for label, data, seed in jobs
            }
            asked = ", ".join(f"{measure} {value}" for measure, value in TARGETS[name].items())
            settings = ", ".join(f"{key}={value}" for key, value in SETTINGS[name].items()) or "the recipe as it is"
            text += ["", f"## {name}", "", f"n = {len(found)}; {settings}; asked of ourselves: {asked}."]
            text += [next(iter(found.values()))["reason"], "", *table(found), "", *mistakes(found)]
            Path(arguments.output).write_text("\n".join(text) + "\n")
    print(*text, sep="\n")


if __name__ == "__main__":
    main()
