"""The classifier that a description becomes, and the file it is read from.

In a card the architecture is "described" and its one argument the description as plain data, so a network file loads
without the TOML file it came from.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from torch import nn

from glassnet.errors import InputError
from glassnet.models.described.build import Builder, head
from glassnet.models.described.language import Places, check
from glassnet.models.described.lines import lines_of
from glassnet.models.registry import Classifier, register
from glassnet.nn.regularise import Regulariser
from glassnet.nn.shapes import shapes_only
from glassnet.preprocess import Preprocess

ARCHITECTURE = "described"
CLASSES = 10
"""Classes to count parameters with, where no data tell their number."""


class Described(Classifier):
    """A classifier built from a description."""

    def replace_head(self, classes: int) -> None:
        """Put a fresh head in place of the old one; what its weights cost stays."""
        regulariser = getattr(self.head, "regulariser", None)
        super().replace_head(classes)
        if isinstance(regulariser, Regulariser):
            self.head.regulariser = regulariser  # type: ignore[assignment]


def is_description(network: str | Path) -> bool:
    """Whether `network` is meant as a file with a description."""
    return str(network).endswith(".toml")


def read(path: str | Path) -> dict[str, Any]:
    """Return the description in the file at `path`, checked to the last layer; `name` is the file's where it has none.

    Raises `InputError` with the line of what is unknown, of the wrong kind, or does not fit.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        description = tomllib.loads(text)
        places = Places(path.name, lines_of(text))
    except OSError as error:
        raise InputError(f"no description of a network can be read at {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not a text in UTF-8 ({error.reason}); a description of a network is TOML"
        ) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    check(description, places)
    description = {"name": path.stem, **description}
    with shapes_only():  # shapes without numbers: whatever does not fit is found here, with its line
        _build(description, CLASSES, description["input"][2], places)
    return description


def fit_to(description: dict[str, Any], preprocess: Preprocess) -> dict[str, Any]:
    """Return `description` for pictures as `preprocess` makes them, where that is another size than it says."""
    return {**description, "input": [preprocess.height, preprocess.width, preprocess.channels]}


def preprocess_of(description: Any) -> Preprocess:
    """Return the preprocess that a description implies: its input's size, the whole picture."""
    check(description, Places())
    height, width, channels = description["input"]
    return Preprocess(height=height, width=width, channels=channels, crop=1.0)


@register(
    ARCHITECTURE,
    title="described in TOML",
    paper="your own",
    preprocess=preprocess_of,
    classes=CLASSES,
    listed=False,
)
def described(classes: int, in_channels: int, description: Any) -> Classifier:
    """Build the network that `description` describes."""
    check(description, Places())
    return _build(description, classes, in_channels, Places())


def _build(description: dict[str, Any], classes: int, in_channels: int, places: Places) -> Described:
    height, width, _ = description["input"]
    body, features = Builder(description, places).body((in_channels, height, width))
    output: nn.Linear = head(features, classes, description.get("output", {}))
    return Described(body, output)
