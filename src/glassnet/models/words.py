"""A name with arguments behind it, as a user writes it: "mobilenet_v2 width=0.5"."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from glassnet.errors import InputError

WORD = re.compile(r"\s+(?=[\w]+\s*=)")
"""Between words: space before what looks like name=value, since a path may hold spaces."""


def split_words(text: str) -> tuple[str, dict[str, Any]]:
    """Return ("resnet18", {"stem": "small"}) for "resnet18 stem=small"; a value that is not TOML is a word.

    A path may hold spaces: only what looks like name=value is taken off.
    """
    name, *words = WORD.split(text.strip())
    values: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        if not value.strip():
            raise InputError(f"{text!r} has {word!r}; expected name=value behind a name, as in 'resnet18 stem=small'")
        try:
            values[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            values[key.strip()] = value.strip()
    if not name or "=" in name:
        raise InputError(f"{text!r} does not begin with a name; expected one, as in 'resnet18 stem=small'")
    return name, values


def joined(name: str, values: dict[str, Any]) -> str:
    """Return the text that `split_words` takes apart."""
    said = (f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in values.items())
    return " ".join([name, *said])
