"""Where in a TOML file every value stands, so that a mistake can be shown with its line.

`tomllib` tells a value but not its line. This reads a text that `tomllib` has accepted a second time, for positions
only; being valid, it needs hardly a check.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

Path = tuple[str | int, ...]
"""The way to a value: keys, and indices of arrays, from the top."""

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})' r"|'''.*?'''(?:'{0,2})" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'", re.DOTALL
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]+")


def lines_of(text: str) -> dict[Path, int]:
    """Return the line, counted from 1, of every table, key and array element of a valid TOML `text`.

    >>> lines_of('a = 1\\n[[layers]]\\nconv = 16')[("layers", 0, "conv")]
    3
    """
    return _Reader(text).read()


class _Reader:
    """Walks through the text once; `at` is how far it has come."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.starts = [match.end() for match in re.finditer("\n", text)]  # of every line but the first
        self.lines: dict[Path, int] = {}
        self.lengths: dict[Path, int] = {}  # of the arrays of tables so far

    def read(self) -> dict[Path, int]:
        """Read to the end."""
        table: Path = ()
        while not self.done():
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.pair(table)
        return self.lines

    def done(self) -> bool:
        """Skip blanks and comments; tell whether the text ends there."""
        self.skip()
        return self.at >= len(self.text)

    def skip(self) -> None:
        """Skip blanks, line ends and comments."""
        match = _BLANK.match(self.text, self.at)
        assert match is not None  # it matches nothing, too
        self.at = match.end()

    def note(self, path: Path) -> None:
        """Write down that `path` stands here, unless it was met before."""
        self.lines.setdefault(path, bisect_right(self.starts, self.at) + 1)

    def header(self) -> Path:
        """Read `[table]` or `[[table]]`; return the table's path."""
        start, brackets = self.at, 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        keys = self.keys()
        end, self.at = self.at + brackets, start
        path: Path = ()
        for key in keys[:-1]:
            path = self.below(path, key)
        path = (*path, keys[-1])
        self.note(path)
        if brackets == 2:
            index = self.lengths.get(path, 0)
            self.lengths[path] = index + 1
            path = (*path, index)
            self.note(path)
        self.at = end
        return path

    def below(self, path: Path, key: str) -> Path:
        """Return the path of `key` in `path`: in its newest table, where it is an array of them."""
        path = (*path, key)
        self.note(path)
        return (*path, self.lengths[path] - 1) if path in self.lengths else path

    def pair(self, table: Path) -> None:
        """Read `key = value`."""
        start, keys = self.at, self.keys()
        end, self.at = self.at + 1, start  # behind the equals sign
        path = table
        for key in keys:
            path = (*path, key)
            self.note(path)
        self.at = end
        self.value(path)

    def keys(self) -> list[str]:
        """Read a key and its dotted parts, up to the sign that ends it."""
        found = []
        while True:
            self.skip()
            found.append(self.key())
            self.skip()
            if self.text[self.at] != ".":
                return found
            self.at += 1

    def key(self) -> str:
        """Read one bare or quoted key."""
        quoted = self.text[self.at] in "\"'"
        match = (_STRING if quoted else _BARE_KEY).match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        return str(tomllib.loads(f"key = {match.group()}")["key"]) if quoted else match.group()

    def value(self, path: Path) -> None:
        """Read a value, and the values in it."""
        self.skip()
        sign = self.text[self.at]
        if sign == "[":
            self.array(path)
        elif sign == "{":
            self.inline_table(path)
        else:
            match = (_STRING if sign in "\"'" else _SCALAR).match(self.text, self.at)
            assert match is not None
            self.at = match.end()

    def array(self, path: Path) -> None:
        """Read `[value, value]`."""
        self.at += 1
        index = 0
        while True:
            self.skip()
            if self.text[self.at] == "]":
                break
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self.note((*path, index))
            self.value((*path, index))
            index += 1
        self.at += 1

    def inline_table(self, path: Path) -> None:
        """Read `{ key = value, key = value }`."""
        self.at += 1
        while True:
            self.skip()
            if self.text[self.at] == "}":
                break
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self.pair(path)
        self.at += 1
