"""The little YAML that a YOLO data.yaml is written in: keys with a value, a list or numbered names below them.

    path: ../cells     # a comment
    train: images/train
    names:
      0: red cell
      1: "white: cell"

Also lists ("- red cell", [red, white]) and {0: red, 1: white}. Not YAML at large: anchors, blocks of text and deeper
nesting are refused where they matter, and ignored under keys that nobody asks for.
"""

from __future__ import annotations

import re

from glassnet.errors import DataError

Value = str | list[str] | dict[str, str]
_KEY = re.compile(r"""^("[^"]*"|'[^']*'|[^\s:#"'\[\]{},-][^:#]*?)\s*:(?:\s+(.*))?$""")


def parse_small_yaml(text: str, where: str) -> dict[str, Value]:
    """Return {key: value} of `text`; numbers stay text. Raises `DataError`, naming `where` and the line."""
    found: dict[str, Value] = {}
    key = ""
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = _uncommented(raw).rstrip()
        if not line.strip() or line.strip() in ("---", "..."):
            continue
        content = line.strip()
        below = line[0] in " \t" or (content.startswith("- ") or content == "-")
        if not below:
            if not (match := _KEY.match(content)):
                raise _strange(where, number, raw)
            key = _plain(match[1])
            if key in found:
                raise DataError(f"{where!r} has the key {key!r} twice (line {number}); remove one")
            found[key] = _value((match[2] or "").strip(), where, number, raw)
        elif key:
            _add_below(found, key, content, where, number, raw)
        else:
            raise _strange(where, number, raw)
    return found


def _strange(where: str, number: int, raw: str) -> DataError:
    return DataError(f"{where!r}, line {number}: {raw.strip()!r} is not understood; expected 'key: value' or '- value'")


def _uncommented(line: str) -> str:
    """Return the line up to a # that stands outside quotes, at the start or after a space."""
    quote = ""
    for position, letter in enumerate(line):
        before = line[position - 1] if position else " "
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'" and (before in " \t[{,:-" or before == letter):  # '' inside '...' closes and opens again
            quote = letter
        elif letter == "#" and before in " \t":
            return line[:position]
    return line


def _plain(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1].replace('\\"', '"')
    return text


def _value(text: str, where: str, number: int, raw: str) -> Value:
    if text.startswith("[") or text.startswith("{"):
        if text[-1] != {"[": "]", "{": "}"}[text[0]]:
            raise DataError(
                f"{where!r}, line {number}: {raw.strip()!r} opens a bracket that this line does not close;"
                " write the list on one line, or one value a line as '- value'"
            )
        parts = [part for part in _parts(text[1:-1]) if part.strip()]
        if text[0] == "[":
            return [_plain(part) for part in parts]
        pairs = [_KEY.match(part.strip()) for part in parts]
        if not all(pairs):
            raise _strange(where, number, raw)
        return {_plain(match[1]): _plain(match[2] or "") for match in pairs if match}
    return _plain(text)


def _parts(text: str) -> list[str]:
    """Return the parts between commas outside quotes."""
    return re.findall(r"""((?:"[^"]*"|'[^']*'|[^,"'])+)""", text)


def _add_below(found: dict[str, Value], key: str, content: str, where: str, number: int, raw: str) -> None:
    """Add an indented line, or a list's next value, to the value of `key`."""
    value = found[key]
    if content == "-" or content.startswith("- "):
        value = [] if value == "" else value
        if not isinstance(value, list):
            raise _strange(where, number, raw)
        found[key] = [*value, _plain(content[1:])]
    elif match := _KEY.match(content):
        value = {} if value == "" else value
        if not isinstance(value, dict):
            raise _strange(where, number, raw)
        name = _plain(match[1])
        if name in value and key == "names":
            raise DataError(f"{where!r}, line {number}: the class number {name} is there twice; number them apart")
        found[key] = {**value, name: _plain(match[2] or "")}
    elif key in ("names", "path", "train", "val", "test"):
        raise _strange(where, number, raw)
