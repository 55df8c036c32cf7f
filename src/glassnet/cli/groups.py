"""Verbs in groups: `glassnet data ...` and `glassnet weights ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glassnet.cli.options import Data, Json, Layout, NetworkArgument, Pretrained, Seed, Weights, assignments

data_app = typer.Typer(no_args_is_help=True, help="Look at data before training on it.", rich_markup_mode="rich")
weights_app = typer.Typer(
    no_args_is_help=True, help="Bring in weights that others trained, and give ours away.", rich_markup_mode="rich"
)


@data_app.command("check", epilog="Example: [bold]glassnet data check photos/ --output problems.csv[/bold]")
def data_check(
    data: Data,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the problems to this .csv file.")
    ] = None,
    group_by: Annotated[str | None, typer.Option(help="Table column whose groups stay in one split.")] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Read every picture once; list what is wrong: unreadable, truncated, duplicate, leaking ... Exit code 1 if any."""
    from glassnet import verbs
    from glassnet.data.annotations.objects import BoxIndex
    from glassnet.show import boxes
    from glassnet.show import data as show_data

    index = verbs.check_data(data, output=output, group_by=group_by, seed=seed)
    if isinstance(index, BoxIndex):
        boxes.index(index, json=json)
    else:
        show_data.index(index, json=json)
    if index.problems:
        raise typer.Exit(1)


@data_app.command("convert", epilog="Example: [bold]glassnet data convert cells/ --to yolo -o cells-yolo[/bold]")
def data_convert(
    data: Annotated[str, typer.Argument(help="Annotated pictures: Pascal VOC, COCO, YOLO or CSV.", show_default=False)],
    to: Annotated[str, typer.Option(help="voc, coco, yolo or csv.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write: new, or empty.")],
    copy: Annotated[bool, typer.Option("--copy/--link", help="Copy the pictures, or make links to them.")] = True,
    format: Annotated[
        str | None, typer.Option("--format", help="What the data are; default: found out.", show_default=False)
    ] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write boxes in another format, pictures and splits included. What is wrong with the data is left out and told."""
    from glassnet import verbs
    from glassnet.show import boxes

    boxes.converted(*verbs.convert_data(data, output, to, copy=copy, format=format, seed=seed), json=json)


@data_app.command("list", epilog="Example: [bold]glassnet data list --json[/bold]")
def data_list(json: Json = False) -> None:
    """List the built-in data sets: what they hold, their licence, whether they are on this machine."""
    from glassnet import show, verbs

    show.data_sets(verbs.data_sets(), json=json)


@weights_app.command(
    "import", epilog="Example: [bold]glassnet weights import vgg16.pth --network vgg16 -o vgg16.safetensors[/bold]"
)
def weights_import(
    file: Annotated[Path, typer.Argument(help=".pth, .safetensors or .npz.", show_default=False)],
    network: Annotated[str, typer.Option(help="Which network they are for; see `glassnet weights list`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The network file to write.")],
    layout: Layout = None,
    classes: Annotated[
        Path | None, typer.Option(help="Class names, one a line; default: ImageNet's, for a head of 1000.")
    ] = None,
    arg: Annotated[list[str] | None, typer.Option(help="Argument of the network: width=0.5")] = None,
    json: Json = False,
) -> None:
    """Make a network file from weights that another library saved. Every tensor must have its place."""
    from glassnet import show, verbs

    arguments = assignments(arg, "--arg")
    imported = verbs.import_weights(file, network, output, layout=layout, classes=classes, arguments=arguments)
    show.imported(imported, output, json=json)


@weights_app.command(
    "export", epilog="Example: [bold]glassnet weights export runs/mine --layout torchvision -o mine.pth[/bold]"
)
def weights_export(
    network: NetworkArgument,
    layout: Annotated[str, typer.Option(help="Whose names the tensors get: torchvision, timm ...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .pth, .safetensors or .npz file to write.")],
    pretrained: Pretrained = False,
    weights: Weights = None,
) -> None:
    """Write a network's weights as a state dict that another library loads."""
    from glassnet import verbs

    print(verbs.export_weights(network, output, layout, pretrained=weights or pretrained))


@weights_app.command("list", epilog="Example: [bold]glassnet weights list 'resnet*'[/bold]")
def weights_list(
    pattern: Annotated[
        str | None, typer.Argument(help="Only networks that match, as in 'vgg*'.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """List whose weights each network can take, and where trained ones come from."""
    from glassnet import show, verbs

    show.weights(verbs.weights(pattern), json=json)
