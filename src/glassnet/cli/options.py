"""Options that several verbs share, and what is written in their words."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from glassnet.errors import InputError

Data = Annotated[
    str,
    typer.Argument(
        help="A folder per class; train/ validation/ test/ folders of them; labels.csv or .parquet; .npz; idx files; "
        "or the name of a built-in data set (see `glassnet data list`).",
        show_default=False,
    ),
]
NetworkArgument = Annotated[
    str, typer.Argument(help="A run folder, a .safetensors network file, or a network's name.", show_default=False)
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps ...")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; default: all cores.", show_default=False)]
Seed = Annotated[int, typer.Option(help="The seed that all randomness follows from.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Pretrained = Annotated[bool, typer.Option("--pretrained", help="With the best ImageNet weights known for it.")]
Weights = Annotated[
    str | None,
    typer.Option("--weights", help="As --pretrained, but from this source: torchvision ... (`glassnet weights list`)."),
]
Layout = Annotated[str | None, typer.Option(help="Whose names the tensors have: torchvision, timm ...")]
Explain = Annotated[
    bool, typer.Option(help="Let the report show what answers hung on, for at most 24 pictures and 10 s.")
]
BatchSize = Annotated[int, typer.Option(help="Pictures per forward pass.")]


def picture_size(text: str) -> tuple[int, int]:
    """Turn "224" or "224x320" into (height, width)."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"--input got {text!r}; expected a size such as 224, or height x width such as 224x320")
    return int(parts[0]), int(parts[-1])


def assignments(texts: list[str] | None, option: str) -> dict[str, Any]:
    """Turn ["width=0.5", "flip=true"] into {"width": 0.5, "flip": True}; a value that is not TOML is a string."""
    import tomllib

    values: dict[str, Any] = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            example = {"--set": "learning_rate=0.1"}.get(option, "width=0.5")
            raise InputError(f"{option} got {text!r}; expected name=value, for example {option} {example}")
        try:
            values[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            values[name.strip()] = value.strip()
    return values
