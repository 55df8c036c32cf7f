"""How long until a network is good: glassnet's sprint recipes against the public MNIST examples of Keras and PyTorch.

Each of our trainings is a fresh process and the ordinary product path, `glassnet.train(DATA, network=..., recipe=...)`.
Its clock starts when the pictures lie in RAM as uint8 and stops when `train` returns: mean and deviation of the data,
network, whitening, warm-up, every step, validation, temperature, network file and checkpoints count; imports do not.
The number of steps is the recipe's, the weights are the last ones, the test pictures are judged once per seed, after
the clock, without test-time tricks, and no seed is dropped. The examples' clock stands still while they are judged,
after every epoch, so it charges them for training alone. All run in turn, one at a time.

    python benchmarks/time_to_accuracy.py [--seeds 5] [--only fashion] [--precisions auto,fp32] [--peers keras,pytorch]

Keras runs in .bench/keras (python -m venv .bench/keras && .bench/keras/bin/pip install tensorflow-cpu), PyTorch's
example in the environment of this script. MNIST is read from mnist.npz in $GLASSNET_DATA or ../shared/data, else it is
the built-in, downloaded. Writes benchmarks/results/time_to_accuracy.md.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
PEERS = REPOSITORY / "benchmarks" / "peers"
RESULTS = REPOSITORY / "benchmarks" / "results" / "time_to_accuracy.md"


@dataclass(frozen=True)
class Goal:
    """A test accuracy to reach on a data set, in so many seconds, with the recipe and network that should."""

    data: str
    accuracy: float
    seconds: float
    recipe: str
    network: str

    def __str__(self) -> str:
        return f"{self.data} {self.accuracy:.1%}"


GOALS = (
    Goal("fashion-mnist", 0.900, 5, "sprint", "sprint_s"),
    Goal("fashion-mnist", 0.920, 60, "sprint_minute", "sprint_m"),
    Goal("fashion-mnist", 0.930, 240, "sprint_minutes", "sprint_m"),
    Goal("mnist", 0.990, 4, "sprint_digits", "sprint_s"),
    Goal("mnist", 0.994, 24, "sprint_digits_minute", "sprint_s"),
)
INTERPRETERS = {"keras": REPOSITORY / ".bench" / "keras" / "bin" / "python", "pytorch": Path(sys.executable)}
SCRIPTS = {"keras": PEERS / "keras_mnist_convnet.py", "pytorch": PEERS / "pytorch_mnist.py"}


def source(data: str) -> str:
    """Return what `glassnet.train` takes for a data set: a file beside the repository, or the built-in's name."""
    folder = Path(os.environ.get("GLASSNET_DATA", REPOSITORY.parent / "shared" / "data"))
    beside = folder / f"{data}.npz"
    return str(beside) if beside.exists() else data


def train_once(data: str, recipe: str, network: str, seed: int, precision: str, threads: int) -> dict[str, Any]:
    """Train in this process and return seconds, test accuracy and number of steps."""
    from glassnet.evaluation.judge import scores
    from glassnet.training import prepare
    from glassnet.training.train import train

    # Imported late, by torch's first optimiser and by the first run: imports all the same, before the clock starts.
    for module in ("torch._dynamo", "torch.utils.tensorboard"):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)

    load, loaded = prepare.load_pictures, []

    def load_and_start(*arguments: Any, **options: Any) -> Any:
        pictures = load(*arguments, **options)
        loaded.append((pictures, time.perf_counter(), time.process_time()))
        return pictures

    prepare.load_pictures = load_and_start
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            source(data),
            recipe=recipe,
            network=network,
            output=Path(folder) / "run",
            seed=seed,
            precision=precision,
            threads=threads,
            quiet=True,
        )
        stopped, used = time.perf_counter(), time.process_time()
        (pictures, started, used_before), *_ = loaded
        judged = scores(run.network, pictures, pictures.index.select("test"))
        steps = [json.loads(line)["step"] for line in run.metrics_path.read_text().splitlines()][-1]
    return {
        "seconds": stopped - started,
        "processor_seconds": used - used_before,
        "accuracy": float((judged.logits.argmax(1) == judged.labels).mean()),
        "steps": steps,
        "network": network,
    }


def call(command: list[str]) -> list[dict[str, Any]]:
    """Run a process and return the JSON lines it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def our_run(goal: Goal, seed: int, precision: str, threads: int) -> dict[str, Any]:
    """Train for `goal` in a fresh process."""
    settings: dict[str, Any] = {"data": goal.data, "recipe": goal.recipe, "network": goal.network}
    settings |= {"seed": seed, "precision": precision, "threads": threads}
    return call([sys.executable, __file__, "--once", json.dumps(settings)])[-1]


def whole_command(goal: Goal) -> float:
    """Return the seconds of `glassnet train DATA --recipe ...` from a cold shell to the written report."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "glassnet", "train", source(goal.data)]
        command += ["--recipe", goal.recipe, "--network", goal.network]
        started = time.perf_counter()
        done = subprocess.run([*command, "--output", f"{folder}/run"], capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
        if done.returncode != 0 or not Path(folder, "run", "report.html").exists():
            raise SystemExit(f"{' '.join(command)} left no report:\n{done.stderr[-2000:]}")
    return seconds


def arrays_file(data: str, folder: Path) -> Path:
    """Write the data set as the `.npz` the peers read, and return its path."""
    import numpy as np

    if source(data) != data:
        return Path(source(data))
    from glassnet.data import builtin

    found = builtin.load(data)
    test, images, labels = found.is_test, found.images[..., 0], found.labels
    path = folder / f"{data}.npz"
    np.savez(path, x_train=images[~test], y_train=labels[~test], x_test=images[test], y_test=labels[test])
    return path


def peer_run(peer: str, data: Path, stop_at: float, seed: int) -> list[dict[str, Any]]:
    """Train a peer's example and return its line per epoch."""
    return call(
        [str(INTERPRETERS[peer]), str(SCRIPTS[peer]), str(data), "--stop-at", str(stop_at), "--seed", str(seed)]
    )


def reached(lines: list[dict[str, Any]], accuracy: float) -> float | None:
    """Return the seconds after which a peer first had `accuracy` on the test pictures."""
    return next((line["seconds"] for line in lines if line["test_accuracy"] >= accuracy), None)


def markdown(
    ours: dict[Any, list[dict[str, Any]]], peers: dict[Any, list[dict[str, Any]]], whole: dict[Any, float]
) -> str:
    """Return the results as a page."""
    return "\n".join(
        ["# Time to accuracy", "", *_header(), "", *_our_table(ours, whole), "", *_peer_table(ours, peers), ""]
    )


def _header() -> Iterator[str]:
    from glassnet.nn.device import describe_machine

    machine = describe_machine()
    yield f"{datetime.now(UTC):%Y-%m-%d}; {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads;"
    yield f"{machine['platform']}; Python {machine['python']}, torch {machine['torch']},"
    yield f"glassnet {machine['glassnet']}."
    if INTERPRETERS["keras"].exists():
        code = "import tensorflow, keras; print(tensorflow.__version__, keras.__version__)"
        versions = subprocess.run(
            [str(INTERPRETERS["keras"]), "-c", code], capture_output=True, text=True, check=False
        ).stdout.split()
        yield f"Keras {versions[-1]} on TensorFlow {versions[-2]} (CPU)."
    yield "Made by `python benchmarks/time_to_accuracy.py`, whose first lines say what the clocks include."


def _our_table(ours: dict[Any, list[dict[str, Any]]], whole: dict[Any, float]) -> Iterator[str]:
    columns = ["goal", "recipe, network", "precision", "steps", "n", "test accuracy: mean ± sd (least)"]
    columns += ["seconds: mean (most)", "allowed", "reached", "whole command"]
    yield f"| {' | '.join(columns)} |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for (goal, precision), runs in ours.items():
        accuracies, seconds = [run["accuracy"] for run in runs], [run["seconds"] for run in runs]
        mean, took = statistics.mean(accuracies), statistics.mean(seconds)
        spread = statistics.stdev(accuracies) if len(runs) > 1 else 0.0
        verdict = "yes" if mean >= goal.accuracy and took <= goal.seconds else "**no**"
        command = f"{whole[goal]:.1f} s" if goal in whole and precision == "auto" else ""
        yield (
            f"| {goal} | {goal.recipe}, {runs[0]['network']} | {precision} | {runs[0]['steps']} | {len(runs)} | "
            f"{mean:.2%} ± {spread:.2%} ({min(accuracies):.2%}) | {took:.1f} ({max(seconds):.1f}) | "
            f"{goal.seconds:g} s | {verdict} | {command} |"
        )


def _peer_table(ours: dict[Any, list[dict[str, Any]]], peers: dict[Any, list[dict[str, Any]]]) -> Iterator[str]:
    columns = ["goal", "example", "seconds until it had that", "our seconds", "ratio"]
    columns += ["its epochs, seconds, last and best test accuracy"]
    yield f"| {' | '.join(columns)} |"
    yield "|---|---|---|---|---|---|"
    for (peer, data), lines in peers.items():
        for (goal, precision), runs in ours.items():
            if goal.data != data:
                continue
            mine = statistics.mean(run["seconds"] for run in runs)
            theirs = reached(lines, goal.accuracy)
            until = f"{theirs:.0f}" if theirs is not None else "never"
            ratio = f"{theirs / mine:.0f}x" if theirs is not None else f"> {lines[-1]['seconds'] / mine:.0f}x"
            best = max(line["test_accuracy"] for line in lines)
            last = f"{lines[-1]['epoch']}, {lines[-1]['seconds']:.0f} s, {lines[-1]['test_accuracy']:.2%}, {best:.2%}"
            yield f"| {goal} | {peer} | {until} | {mine:.1f} ({precision}) | {ratio} | {last} |"


def benchmark(options: argparse.Namespace) -> None:
    """Run everything in turn and write the page after every round, so that a stopped benchmark leaves what it knows."""
    goals = [goal for goal in GOALS if options.only in f"{goal} {goal.recipe}"]
    precisions = options.precisions.split(",")
    ours: dict[Any, list[dict[str, Any]]] = {(goal, p): [] for goal in goals for p in precisions}
    peers: dict[Any, list[dict[str, Any]]] = {}
    names = [name for name in options.peers.split(",") if name]
    with tempfile.TemporaryDirectory() as folder:
        targets = {
            data: max(g.accuracy for g in goals if g.data == data) for data in dict.fromkeys(g.data for g in goals)
        }
        files = {data: arrays_file(data, Path(folder)) for data in targets if names}
        waiting = [(peer, data) for data in targets for peer in names]
        whole: dict[Any, float] = {}
        for seed in range(options.seeds):
            for (goal, precision), runs in ours.items():
                runs.append(our_run(goal, seed, precision, options.threads))
                print(f"{goal} {precision} seed {seed}: {json.dumps(runs[-1])}", flush=True)
            for peer, data in waiting[seed :: options.seeds]:
                peers[peer, data] = peer_run(peer, files[data], targets[data], seed)
                print(f"{peer} {data}: {json.dumps(peers[peer, data][-1])}", flush=True)
            if seed == 0 and not options.no_command:
                whole = {goal: whole_command(goal) for goal in goals}
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(markdown(ours, peers, whole), encoding="utf-8")
    print(f"written: {options.output}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="only goals whose data, accuracy or recipe contains this")
    parser.add_argument("--precisions", default="auto,fp32", help="precisions to run each recipe at")
    parser.add_argument("--peers", default="keras,pytorch", help="which examples to run; empty for none")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--no-command", action="store_true", help="leave out the whole command from a cold shell")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--once", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(train_once(**json.loads(options.once))))
    else:
        benchmark(options)


if __name__ == "__main__":
    main()
