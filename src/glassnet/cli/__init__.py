"""The command line: a table of verbs, each a thin skin over a plain function, in `verbs` or `explain.api`.

Nothing heavy is imported until a verb runs, so `glassnet --help` answers at once. Results go to stdout, everything
else (progress, notes, errors) to stderr. Exit codes: 0 all good, 1 some items failed, 2 bad call, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from glassnet.cli import finding, seeing
from glassnet.cli.groups import data_app, weights_app
from glassnet.cli.options import (
    BatchSize,
    Data,
    Device,
    Explain,
    Json,
    NetworkArgument,
    Pretrained,
    Seed,
    Threads,
    Weights,
    assignments,
    picture_size,
)
from glassnet.errors import GlassnetError, InputError

app = typer.Typer(
    name="glassnet",
    help="Convolutional networks in a glass case: train one on your own pictures, see why it decides, ship it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_app, name="data")
app.add_typer(weights_app, name="weights")


class Format(StrEnum):
    """How predictions are printed."""

    table = "table"
    json = "json"
    csv = "csv"


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    debug: Annotated[  # noqa: ARG001 - `main` reads it, so that it works after a verb too
        bool, typer.Option("--debug", help="Show the traceback of an error; works after a verb too.")
    ] = False,
) -> None:
    """Convolutional networks in a glass case: train one on your own pictures, see why it decides, ship it."""
    if version:
        from glassnet import __version__

        print(f"glassnet {__version__}")
        raise typer.Exit


@app.command(epilog="Example: [bold]glassnet train photos/ --minutes 10[/bold]")
def train(
    data: Data,
    task: Annotated[
        str, typer.Option(help="classify, detect, localise, or auto: detect where the data have boxes.")
    ] = "auto",
    network: Annotated[
        str | None, typer.Option(help="A name (`glassnet networks`) or a .toml file; default: chosen.")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="The classifier that a detector stands on.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="A name (`glassnet recipes`) or a .toml file; default: chosen.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run's folder; default: runs/DATA-1, -2, ...")
    ] = None,
    pretrained: Pretrained = False,
    weights: Weights = None,
    start_from: Annotated[Path | None, typer.Option("--from", help="Fine-tune from this network file.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Plan the schedule into this many minutes; with --epochs, at most so many.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the training pictures.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a recipe field: learning_rate=0.1")] = None,
    arg: Annotated[list[str] | None, typer.Option(help="Argument of the network: width=0.5")] = None,
    device: Device = "auto",
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16.")] = None,
    threads: Threads = None,
    seed: Seed = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at data problems instead of setting them aside.")
    ] = False,
    group_by: Annotated[str | None, typer.Option(help="Table column whose groups stay in one split.")] = None,
    report: Annotated[bool, typer.Option(help="Judge on the test split and write report.html.")] = True,
    explain: Explain = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    json: Json = False,
) -> None:
    """Train a network on pictures, judge it on the test split, write the report."""
    from glassnet import show, verbs
    from glassnet.training.distributed import process

    run = verbs.train(
        data,
        task=task,
        network=network,
        backbone=backbone,
        recipe=recipe,
        output=output,
        pretrained=weights or pretrained,
        start_from=start_from,
        minutes=minutes,
        epochs=epochs,
        overrides=assignments(set_, "--set"),
        arguments=assignments(arg, "--arg"),
        device=device,
        precision=precision,
        threads=threads,
        seed=seed,
        strict=strict,
        group_by=group_by,
        report=report,
        explain=explain,
        quiet=quiet or None,
    )
    if process()[0] == 0:
        show.run(run, json=json)


@app.command(epilog="Example: [bold]glassnet resume runs/photos-1[/bold]")
def resume(
    run: Annotated[Path, typer.Argument(help="The folder of an interrupted run.", show_default=False)],
    device: Annotated[str | None, typer.Option(help="Default: the one the run was using.")] = None,
    threads: Threads = None,
    report: Annotated[bool, typer.Option(help="Judge on the test split and write report.html.")] = True,
    explain: Explain = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    json: Json = False,
) -> None:
    """Go on with an interrupted run: the same weights, bit for bit, as if it had never stopped."""
    from glassnet import show, verbs
    from glassnet.training.distributed import process

    found = verbs.resume(run, device=device, threads=threads, report=report, explain=explain, quiet=quiet or None)
    if process()[0] == 0:
        show.run(found, json=json)


@app.command(
    epilog="Example: [bold]glassnet compare photos/ --network resnet18 --network mobilenet_v2 --minutes 5[/bold]"
)
def compare(
    data: Annotated[
        str | None, typer.Argument(help="As for `glassnet train`; a study brings its own.", show_default=False)
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(help="A name or .toml file, arguments behind it: 'mobilenet_v2 width=0.5'; several times."),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(help="A name or .toml file, fields behind it: 'quick batch_size=256'; several times."),
    ] = None,
    study: Annotated[str | None, typer.Option(help="A ready-made question: see --studies.", show_default=False)] = None,
    seeds: Annotated[
        int | None, typer.Option(help="How many trainings of each option; default: 3.", show_default=False)
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Budget of each training, in passes over the pictures.")] = None,
    steps: Annotated[int | None, typer.Option(help="Budget of each training, in steps.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget of each training, in minutes.")] = None,
    output: Annotated[Path | None, typer.Option(help="The folder; default: runs/compare-NAME-1, -2, ...")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the comparison in this folder; --seeds may grow.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A recipe field for all: batch_size=128")] = None,
    pretrained: Pretrained = False,
    studies: Annotated[bool, typer.Option("--studies", help="List the ready-made studies and leave.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps ...")] = None,
    threads: Threads = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    json: Json = False,
) -> None:
    """Train several networks or recipes under one budget, with several seeds; say which is better, and how surely."""
    from glassnet import show, verbs

    if json and csv:
        raise InputError("--json and --csv are both given; choose one")
    if studies:
        show.studies(verbs.studies(), json=json)
        return
    found = verbs.compare(
        data,
        networks=network or [],
        recipes=recipe or [],
        study=study,
        seeds=seeds,
        epochs=epochs,
        steps=steps,
        minutes=minutes,
        output=output,
        resume=resume,
        overrides=assignments(set_, "--set"),
        pretrained=pretrained,
        device=device,
        threads=threads,
        quiet=quiet or None,
    )
    show.comparison(found, form="json" if json else "csv" if csv else "table")


@app.command(epilog="Example: [bold]glassnet evaluate runs/photos-1 new-photos/ --json[/bold]")
def evaluate(
    network: NetworkArgument,
    data: Annotated[str | None, typer.Argument(help="Default: the test split of the run.", show_default=False)] = None,
    split: Annotated[str, typer.Option(help="train, validation or test, where the data have splits.")] = "test",
    pretrained: Pretrained = False,
    weights: Weights = None,
    tta: Annotated[bool, typer.Option("--tta", help="Average over mirrored pictures.")] = False,
    batch_size: BatchSize = 64,
    device: Device = "auto",
    threads: Threads = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Judge a network: accuracy, per-class precision and recall, calibration, what it confuses."""
    from glassnet import show, verbs

    judgement = verbs.evaluate(
        network,
        data,
        split=split,
        pretrained=weights or pretrained,
        tta=tta,
        batch_size=batch_size,
        device=device,
        threads=threads,
        seed=seed,
    )
    show.judgement(judgement, json=json)
    if data is not None and judgement.left_out:
        show.left_out(judgement)
        raise typer.Exit(1)


@app.command(epilog="Example: [bold]glassnet predict runs/photos-1 a.jpg folder/ --top 3 --json[/bold]")
def predict(
    network: NetworkArgument,
    pictures: Annotated[
        list[str], typer.Argument(help="Pictures and folders; - reads paths from stdin.", show_default=False)
    ],
    top: Annotated[int, typer.Option(help="How many classes to name for each picture.")] = 5,
    format: Annotated[Format | None, typer.Option(help="How to print; default: table.", show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json: one object a line.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file instead of stdout.")] = None,
    pretrained: Pretrained = False,
    weights: Weights = None,
    tta: Annotated[bool, typer.Option("--tta", help="Average over mirrored pictures.")] = False,
    batch_size: BatchSize = 32,
    device: Device = "auto",
    threads: Threads = None,
    seed: Seed = 0,
) -> None:
    """Name what pictures show. A picture that cannot be read is a row with an error, and the exit code is 1."""
    from glassnet import show, verbs

    if json and format not in (None, Format.json):
        raise InputError(f"both --json and --format {format.value} are given; choose one of them")
    form = Format.json if json else format or Format.table
    answers = verbs.predict(
        network,
        sys.stdin if pictures == ["-"] else pictures,
        top=top,
        pretrained=weights or pretrained,
        tta=tta,
        batch_size=batch_size,
        device=device,
        threads=threads,
        seed=seed,
    )
    failed = show.predictions(answers, form.value, output)
    if failed:
        print(f"{failed} picture(s) could not be read", file=sys.stderr)
        raise typer.Exit(1)


@app.command(epilog="Example: [bold]glassnet report runs/photos-1[/bold]")
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    explain: Explain = True,
    device: Device = "auto",
    threads: Threads = None,
    seed: Seed = 0,
) -> None:
    """Judge a run on its test split and write report.html again."""
    from glassnet import verbs

    print(verbs.write_report(run, explain=explain, device=device, threads=threads, seed=seed))


@app.command(epilog="Example: [bold]glassnet networks 'resnet*'[/bold]")
def networks(
    pattern: Annotated[
        str | None, typer.Argument(help="Only names that match, as in 'vgg*'.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """List the networks that can be trained: what they cost, where they come from."""
    from glassnet import show, verbs

    show.networks(verbs.networks(pattern), json=json)


@app.command(epilog="Example: [bold]glassnet inspect mobilenet_v2 --arg width=0.5 --picture net.svg[/bold]")
def inspect(
    network: NetworkArgument,
    input: Annotated[
        str | None, typer.Option(help="Size of the pictures: 224, or height x width as in 224x320.")
    ] = None,
    arg: Annotated[list[str] | None, typer.Option(help="Argument of a registered network: width=0.5")] = None,
    batch_size: Annotated[int, typer.Option(help="For the memory that training takes.")] = 32,
    depth: Annotated[
        int | None, typer.Option(min=1, help="1 shows stages, 2 blocks; default: the layers.", show_default=False)
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Every layer, also norms, activations, repeated blocks.")
    ] = False,
    picture: Annotated[Path | None, typer.Option(help="Also draw the network to scale, into this .svg file.")] = None,
    json: Json = False,
) -> None:
    """Show what every layer of a network does and costs: sizes, parameters, multiply-adds, receptive field, memory."""
    from glassnet import show, verbs

    found = verbs.inspect(
        network,
        size=None if input is None else picture_size(input),
        arguments=assignments(arg, "--arg"),
        batch_size=batch_size,
        picture=picture,
    )
    show.inspection(found, depth=depth, full=full, json=json)


@app.command(epilog="Example: [bold]glassnet recipes[/bold]")
def recipes(json: Json = False) -> None:
    """List the named recipes and what they choose."""
    from glassnet import show, verbs

    show.recipes(verbs.recipes(), json=json)


@app.command("find-lr", epilog="Example: [bold]glassnet find-lr photos/ --network resnet18 -o lr.png[/bold]")
def find_lr(
    data: Data,
    network: Annotated[
        str | None, typer.Option(help="A name (`glassnet networks`) or a .toml file; default: chosen.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="Whose optimiser and batch size to use.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the plot goes.")] = Path("find-lr.png"),
    arg: Annotated[list[str] | None, typer.Option(help="Argument of the network: width=0.5")] = None,
    pretrained: Pretrained = False,
    weights: Weights = None,
    device: Device = "auto",
    threads: Threads = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Try learning rates from tiny to too large, and suggest one."""
    from glassnet import show, verbs

    found = verbs.find_learning_rate(
        data,
        network=network,
        recipe=recipe,
        output=output,
        arguments=assignments(arg, "--arg"),
        pretrained=weights or pretrained,
        device=device,
        threads=threads,
        seed=seed,
    )
    show.learning_rate(found, output, json=json)


seeing.register(app)
finding.register(app)


def fail(message: str, code: int) -> NoReturn:
    """Print one line to stderr and leave."""
    print(f"glassnet: {message}", file=sys.stderr)
    sys.exit(code)


def main() -> NoReturn:
    """Entry point: run a verb and turn what it raises into one line and an exit code."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    usage_error = typer.BadParameter.__mro__[2]  # typer's own, or click's: whichever this typer is built on
    try:
        sys.exit(app(args=arguments, prog_name="glassnet", standalone_mode=False))
    except KeyboardInterrupt:
        fail("interrupted", 130)
    except BrokenPipeError:  # `glassnet predict ... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, usage_error):
            message = error.format_message()  # type: ignore[attr-defined]
            if not message:  # `glassnet data` alone: its help was printed, which says it all
                sys.exit(2)
            verb = error.ctx.command_path if getattr(error, "ctx", None) else "glassnet"  # type: ignore[attr-defined]
            fail(f"{message} (see `{verb} --help`)", 2)
        if isinstance(error, GlassnetError):
            fail(" ".join(str(error).split()), error.exit_code)
        fail(f"unexpected {type(error).__name__}: {error}; --debug shows where, and we would like to know", 2)
