"""Verbs that look inside: `explain`, `look`, `patches`, `filters`, over the functions of `glassnet.explain.api`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glassnet.cli.options import Data, Device, Json, NetworkArgument, Pretrained, Seed, Threads, Weights, assignments
from glassnet.errors import InputError

if TYPE_CHECKING:
    from glassnet.explain.figures.rows import Explained

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Label = Annotated[
    list[str] | None,
    typer.Option(
        "--class", help="A class's name, its number, or top (the default); several times.", show_default=False
    ),
]
OneLabel = Annotated[str, typer.Option("--class", help="A class's name, its number, or top for the likeliest.")]
Layer = Annotated[str, typer.Option(help="A layer's or stage's name (`glassnet inspect NETWORK --full`), or auto.")]
METHODS = "occlusion,gradcam"


def explain(
    network: Annotated[
        str | None,
        typer.Argument(help="A run folder, a .safetensors network file, or a network's name.", show_default=False),
    ] = None,
    pictures: Annotated[list[str] | None, typer.Argument(help="Pictures.", show_default=False)] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help=f"Names, separated by commas (see --methods); default: {METHODS}.", show_default=False),
    ] = None,
    layer: Annotated[
        str,
        typer.Option(
            help="Layers or stages, separated by commas; auto, or stages for all (`glassnet inspect --full`)."
        ),
    ] = "auto",
    label: Label = None,
    box: Annotated[
        list[int] | None,
        typer.Option(help="Of a detector: which box, 0 being the surest (the default); several times."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help=".png, .svg, .pdf; .npz for the numbers; default: explain.png.", show_default=False
        ),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A setting: stride=4, or of one method: occlusion.stride=4")
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Judge the methods on these data: a table of numbers.", show_default=False),
    ] = None,
    methods: Annotated[bool, typer.Option("--methods", help="List the methods and leave.")] = False,
    pretrained: Pretrained = False,
    weights: Weights = None,
    device: Device = "auto",
    threads: Threads = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Draw why a network answers as it does: the picture beside maps of what spoke for and against a class."""
    from glassnet import show

    if methods:
        from glassnet.explain.api import known_methods

        show.methods(known_methods(), json=json)
        return
    if network is None:
        raise InputError("no network is given; for example: glassnet explain runs/photos-1 a.jpg")
    from glassnet import finding
    from glassnet.explain import api
    from glassnet.explain.figures.save import check_output
    from glassnet.explain.progress import live
    from glassnet.tasks import task_of, to_explain

    names = words(method) or METHODS.split(",")
    common: dict[str, Any] = {"settings": assignments(set_, "--set"), "pretrained": weights or pretrained}
    common |= {"device": device, "threads": threads, "seed": seed}
    if judge is not None:
        given = {"pictures": pictures, "--class": label, "--layer": layer != "auto", "--output": output, "--box": box}
        _refuse(given, "--judge prints a table about all its data")
        with live("judging", quiet=quiet) as progress:
            verdict = api.judge_methods(network, judge, names, progress=progress, **common)
        show.verdict(verdict, json=json)
        return
    if not pictures:
        raise InputError("no picture is given; name some, or judge the methods on data: --judge DATA")
    path = output or Path("explain.png")
    check_output(path)
    if task_of(network) == "detection":
        foreign: dict[str, object] = {"--class": label, "--weights": weights, "--pretrained": pretrained}
        _refuse(foreign | {"--device": device not in ("auto", "cpu")}, f"{network} is a detector, explained on the CPU")
        settings = common["settings"] | ({} if layer == "auto" else {"layer": layer})
        settings = ({"seed": seed} if seed and "occlusion" in names else {}) | settings
        with live("explaining", quiet=quiet) as progress:
            chosen: dict[str, Any] = {"boxes": box or [0], "settings": settings, "threads": threads}
            rows = finding.explain_boxes(network, pictures, names, progress=progress, **chosen)
        _finish(rows, path, json=json)
        return
    _refuse({"--box": box}, f"{network} is no detector")
    with live("explaining", quiet=quiet) as progress:
        rows = list(
            api.explain_pictures(
                to_explain(network, pretrained=weights or pretrained),
                pictures,
                names,
                layer=words([layer]) or "auto",
                label=label or ["top"],
                strict=len(pictures) == 1,
                progress=progress,
                **common,
            )
        )
    _finish(rows, path, json=json)


def look(
    network: NetworkArgument,
    picture: Annotated[str, typer.Argument(help="A picture.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .html file to write.")] = Path("look.html"),
    label: OneLabel = "top",
    layer: Annotated[
        str | None, typer.Option(help="Only this layer, with all its channels.", show_default=False)
    ] = None,
    all_layers: Annotated[
        bool, typer.Option("--all-layers", help="Invert every layer, not only each stage's last one; takes long.")
    ] = False,
    steps: Annotated[int | None, typer.Option(help="Of each inversion; more is sharper.", show_default="80")] = None,
    pretrained: Pretrained = False,
    weights: Weights = None,
    device: Device = "auto",
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page on what every layer makes of a picture: its maps, its projection, its inversion."""
    from glassnet.explain import api
    from glassnet.explain.progress import live
    from glassnet.tasks import to_explain

    choices = {} if steps is None else {"steps": steps}
    with live("looking", quiet=quiet) as progress:
        api.look(
            to_explain(network, pretrained=weights or pretrained),
            picture,
            output,
            label=label,
            layer=layer,
            all_layers=all_layers,
            pretrained=weights or pretrained,
            device=device,
            threads=threads,
            progress=progress,
            **choices,
        )
    print(output)


def patches(
    network: NetworkArgument,
    data: Data,
    layer: Layer = "auto",
    channels: Annotated[
        str | None,
        typer.Option(help="Numbers, as in 0,5,17; default: the 16 that answer most.", show_default=False),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .png, .svg or .pdf file to write.")] = Path(
        "patches.png"
    ),
    pretrained: Pretrained = False,
    weights: Weights = None,
    device: Device = "auto",
    threads: Threads = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Draw the nine pictures that each channel of a layer answers most, cut to what it sees, beside what it saw."""
    from glassnet import show
    from glassnet.explain import api
    from glassnet.explain.figures.patches import draw_patches
    from glassnet.explain.figures.save import FIGURES, check_output, save_figure
    from glassnet.explain.progress import live
    from glassnet.tasks import to_explain

    check_output(output, FIGURES)
    with live("looking for patches", quiet=quiet) as progress:
        found = api.patches(
            to_explain(network, pretrained=weights or pretrained),
            data,
            layer=layer,
            channels=None if channels is None else numbers(channels, "--channels"),
            pretrained=weights or pretrained,
            device=device,
            threads=threads,
            seed=seed,
            progress=progress,
        )
    save_figure(draw_patches(found, Path(network).name), output)
    show.patches(found, output, json=json)


def filters(
    photo: Annotated[str | None, typer.Argument(help="A picture.", show_default=False)] = None,
    kernel: Annotated[
        list[str] | None,
        typer.Option(
            help="Names and numbers, separated by commas: sobel_x,laplacian,-1,1,-1,-1,5,-1,-2,2,-2", show_default=False
        ),
    ] = None,
    stride: Annotated[int, typer.Option(help="Pixels from one window to the next.")] = 1,
    padding: Annotated[str, typer.Option(help="Pixels around the picture, same, or valid for none.")] = "same",
    beyond: Annotated[str, typer.Option(help="What these hold: zero, replicate or reflect.")] = "replicate",
    sheet: Annotated[
        bool, typer.Option("--sheet", help="One convolution and one pooling step by step, in real numbers.")
    ] = False,
    at: Annotated[
        str | None,
        typer.Option(
            help="With --sheet: row,column of the output; default: where it is strongest.", show_default=False
        ),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Draw this network's first filters instead of a photo's.", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .png, .svg or .pdf file to write.")] = Path(
        "filters.png"
    ),
    pretrained: Pretrained = False,
    weights: Weights = None,
) -> None:
    """Slide edge filters over a photo, or show one convolution number by number, or draw a network's first filters."""
    from glassnet.explain import api
    from glassnet.explain.figures.first_layer import draw_filters
    from glassnet.explain.figures.save import FIGURES, check_output, save_figure
    from glassnet.explain.teaching.pictures import draw_filtered
    from glassnet.explain.teaching.sheet import draw_sheet
    from glassnet.explain.teaching.steps import steps

    if (photo is None) == (network is None):
        raise InputError("give a photo, or a network with --network, and not both")
    check_output(output, FIGURES)
    if network is not None:
        if kernel or sheet or at:
            raise InputError("--kernel, --sheet and --at are for a photo; --network draws the network's own filters")
        drawn = draw_filters(api.network_filters(network, pretrained=weights or pretrained), Path(network).name)
    else:
        assert photo is not None
        chosen = kernel or (["sobel_x"] if sheet else list(api.KERNELS))
        found = api.filters(photo, chosen, stride=stride, padding=padding, beyond=beyond)
        if at is not None and not sheet:
            raise InputError("--at is for --sheet; add it")
        if sheet and len(found) != 1:
            raise InputError(f"--sheet shows one kernel and {len(found)} are given; name one")
        name = Path(photo).name
        drawn = draw_sheet(steps(found[0], place(at)), name) if sheet else draw_filtered(found, name)
    save_figure(drawn, output)
    print(output)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line, each with an example that works."""
    examples = {
        explain: "glassnet explain efficientnet_lite0 cat.jpg --pretrained --method occlusion,gradcam -o cat.png",
        look: "glassnet look resnet18 cat.jpg --weights torchvision -o look.html",
        patches: "glassnet patches runs/photos-1 photos/ --layer stage2 --channels 0,5 -o patches.png",
        filters: "glassnet filters cat.jpg --kernel sobel_x,-1,1,-1,-1,5,-1,-2,2,-2 --stride 2 -o filters.png",
    }
    for verb, example in examples.items():
        app.command(epilog=f"Example: [bold]{example}[/bold]")(verb)  # type: ignore[type-var]  # each has its own


def words(texts: list[str] | None) -> list[str]:
    """Return the words of texts such as "occlusion,gradcam"."""
    return [word.strip() for text in texts or [] for word in text.split(",") if word.strip()]


def numbers(text: str, option: str) -> list[int]:
    """Return the numbers of "0,5,17"; raise `InputError` for what is none."""
    found = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in found):
        raise InputError(f"{option} got {text!r}; expected numbers from 0, separated by commas")
    return [int(part) for part in found]


def place(text: str | None) -> tuple[int, int] | None:
    """Return (row, column) of "12,40"; raise `InputError` for anything else."""
    if text is None:
        return None
    found = numbers(text, "--at")
    if len(found) != 2:
        raise InputError(f"--at got {text!r}; expected row,column of the output, as in 12,40")
    return found[0], found[1]


def _finish(rows: Sequence[Explained], path: Path, *, json: bool) -> None:
    """Draw what was explained, print it, and leave with 1 where a picture could not be."""
    from glassnet import show
    from glassnet.explain.figures.save import save_rows

    save_rows(rows, path)
    show.explanations(rows, path, json=json)
    failed = sum(row.error is not None for row in rows)
    if failed:
        print(f"{failed} picture(s) could not be read", file=sys.stderr)
        raise typer.Exit(1)


def _refuse(given: Mapping[str, object], why: str) -> None:
    """Raise `InputError` for options that have no meaning here."""
    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise InputError(f"{why}; leave out {' and '.join(wrong)}")
