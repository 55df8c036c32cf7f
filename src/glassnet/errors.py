"""The exception tree: every error a caller can cause says what came, what was expected, and what to do.

The command line prints the message of a `GlassnetError` as one line and exits with its `exit_code`; anything else is
a bug of ours and shows as one.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class GlassnetError(Exception):
    """Root of the tree. `exit_code` is what the command line returns for it."""

    exit_code = 2


class InputError(GlassnetError, ValueError):
    """An argument or option is wrong: out of range, of the wrong kind, or in conflict with another."""


class UnknownName(InputError):  # noqa: N818 - reads as the sentence it raises
    """A name that no registry, data set, class or layer has; the message offers the nearest ones.

    >>> raise UnknownName("network", "resnet19", ["resnet18", "vgg11"])
    Traceback (most recent call last):
    ...
    glassnet.errors.UnknownName: no network is called 'resnet19'; nearest: resnet18
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        self.kind, self.name, self.nearest = kind, name, nearest(name, known)
        message = f"no {kind} is called {name!r}"
        if self.nearest:
            message += f"; nearest: {', '.join(self.nearest)}"
        super().__init__(message + (f"; {hint}" if hint else ""))


class DataError(GlassnetError):
    """The data as a whole cannot be used: empty, one class only, no permission, or problems under `strict`."""


class PictureError(DataError):
    """One picture cannot be used. `kind` is its problem kind (see `glassnet.data.problems`)."""

    def __init__(self, message: str, *, kind: str = "unreadable") -> None:
        super().__init__(message)
        self.kind = kind


class NetworkFileError(GlassnetError):
    """A network file is missing, truncated, of an unknown version, or its tensors do not fit its card."""


class MissingExtra(GlassnetError):  # noqa: N818
    """An optional package is needed; the message names the pip command that brings it."""

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs an optional package; install it with: pip install 'glassnet[{extra}]'")


class RunError(GlassnetError):
    """A run folder cannot be used, or a training had to stop."""


class RunLocked(RunError):  # noqa: N818
    """Another process is writing this run."""


class Diverged(RunError):  # noqa: N818
    """The loss stopped being a finite number, or exploded; the message says what to try."""


class DownloadError(GlassnetError):
    """No mirror gave the file with the checksum it must have."""


class StorageError(GlassnetError):
    """A file could not be written: disk full, read-only folder, no permission. Nothing half-written remains."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the at most `count` names of `known` that look most like `name`, best first."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    return [by_lower[match] for match in difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.5)]


def require(module: str, what: str, extra: str) -> ModuleType:
    """Import and return an optional `module`, or raise `MissingExtra` saying that `what` needs `extra`."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(what, extra) from error
