"""The picture files that paths name, folders walked to their ends, a million in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from glassnet.errors import InputError

Answer = TypeVar("Answer")


def walk(paths: Iterable[str | Path]) -> Iterator[str]:
    """Yield the picture files that `paths` name, folders opened lazily and links to folders not followed."""
    for path in paths:
        text = os.fspath(path).rstrip("\n")  # a line of stdin ends in one
        if os.path.isdir(text):  # noqa: PTH112 - a million times; a Path costs 5x
            yield from walk_folder(text)
        elif text:
            yield text


def walk_folder(folder: str) -> Iterator[str]:
    """Yield the picture files below `folder`, without holding their list; an unreadable folder is passed on."""
    try:
        entries = os.scandir(folder)
    except OSError:
        yield folder  # reading it as a picture gives the error its row
        return
    with entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from walk_folder(entry.path)
            else:
                yield entry.path


def at_least_one(answers: Iterator[Answer], named: Sequence[str | Path]) -> Iterator[Answer]:
    """Yield `answers`; raise `InputError` where there is none, so that a wrong folder is not taken for a done one."""
    empty = True
    for answer in answers:
        empty = False
        yield answer
    if empty:
        raise InputError(f"no picture in {', '.join(repr(str(path)) for path in named)}; check the path")
