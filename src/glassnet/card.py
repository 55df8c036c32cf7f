"""The network file: tensors in one `.safetensors`, and the card that says what they are as JSON in its header.

A safetensors file is eight bytes (the header's length, little-endian), the header (JSON: each tensor's dtype, shape
and place, plus a string-to-string map `__metadata__`), then the tensors' bytes. Nothing in it can run code, and the
card can be read without touching the tensors. The card is stored under the one metadata key `card`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassnet.errors import NetworkFileError
from glassnet.files import atomic_path

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = 1
"""The version of the card's fields; a reader refuses any other."""

_LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit: beyond it the length field is garbage, not a header


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(kw_only=True)
class Card:
    """Everything about a network but its tensors; plain data, so that any JSON reader understands it.

    `architecture` and `arguments` rebuild the module (`glassnet.models.create`), `classes` name its logits in order,
    `preprocess` is `Preprocess.to_dict()`. Probabilities are `softmax(logits / temperature)`; `thresholds` maps a class
    to the probability from which it is worth predicting. `parent` is the network this one was fine-tuned from.
    """

    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict)
    task: str = "classification"
    classes: tuple[str, ...]
    preprocess: dict[str, Any]
    temperature: float = 1.0
    thresholds: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    parent: str | None = None
    created: str = field(default_factory=_now)
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the card as JSON text; numbers that are not finite become null, since JSON has none."""
        return json.dumps(_finite(dataclasses.asdict(self)), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, where: str = "the card") -> Card:
        """Return the card written by `to_json`; raise `NetworkFileError`, naming `where`, for anything else."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise NetworkFileError(f"{where}: the card is not JSON ({error}); save the network again") from error
        if not isinstance(values, dict):
            raise NetworkFileError(f"{where}: the card is a {type(values).__name__}, expected a JSON object")
        _check_fields(values, where)
        return cls(**{**values, "classes": tuple(values["classes"])})


_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("architecture", "task", "created"), str),
    **dict.fromkeys(("arguments", "preprocess", "thresholds", "metrics", "recipe", "data", "versions"), dict),
    "classes": (list, tuple),
    "temperature": (int, float),
    "parent": (str, type(None)),
    "format": int,
}


def _check_fields(values: dict[str, Any], where: str) -> None:
    """Raise `NetworkFileError` unless `values` has exactly the fields of a card of our version, each of its kind."""
    if values.get("format") != FORMAT:
        raise NetworkFileError(
            f"{where}: card format {values.get('format')!r}, but this glassnet reads format {FORMAT}; "
            "use the glassnet that wrote the file, or a newer one"
        )
    if unknown := values.keys() - _KINDS.keys():
        raise NetworkFileError(f"{where}: the card has unknown fields: {', '.join(sorted(unknown))}")
    if missing := _KINDS.keys() - values.keys():
        raise NetworkFileError(f"{where}: the card lacks fields: {', '.join(sorted(missing))}")
    for name, kind in _KINDS.items():
        if not isinstance(values[name], kind):
            raise NetworkFileError(f"{where}: the card's {name} is {values[name]!r}, which has the wrong type")
    if not all(isinstance(name, str) for name in values["classes"]):
        raise NetworkFileError(f"{where}: the card's classes are {values['classes']!r}, expected names")
    if not (math.isfinite(values["temperature"]) and values["temperature"] > 0):
        raise NetworkFileError(f"{where}: the card's temperature is {values['temperature']}, expected a number above 0")


def _finite(value: Any) -> Any:
    """Return `value` with every float that is not finite replaced by None, through dicts and lists."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save(path: str | Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """Write `tensors` and `card` to `path`, atomically; raise `StorageError` and leave what was there if that fails.

    The file holds contiguous copies: safetensors refuses strided (channels_last) tensors and two names for one memory.
    """
    import torch
    from safetensors.torch import save_file

    plain = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    with atomic_path(Path(path)) as temporary:
        save_file(plain, str(temporary), metadata={"card": card.to_json()})


def load(path: str | Path) -> tuple[Card, dict[str, Tensor]]:
    """Return the card and the tensors (on the CPU) of a network file; raise `NetworkFileError` for a bad one."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    card = read_card(path)
    try:
        return card, load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise NetworkFileError(f"{path}: the tensors cannot be read ({error}); copy or save the file again") from error


def read_card(path: str | Path) -> Card:
    """Return the card alone, from the header, without torch; raise `NetworkFileError` for a bad or truncated file."""
    metadata = _read_header(Path(path)).get("__metadata__")
    if not isinstance(metadata, dict) or "card" not in metadata:
        raise NetworkFileError(f"{path}: a safetensors file without a card, so not a network file of glassnet")
    return Card.from_json(metadata["card"], where=str(path))


def _read_header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file whose tensors are all there."""
    try:
        with path.open("rb") as file:
            start, size = file.read(8), os.fstat(file.fileno()).st_size
            length = int.from_bytes(start, "little")
            if 2 <= length <= _LONGEST_HEADER and 8 + length <= size:
                header = _parse(file.read(length))
                if header is not None:
                    _check_complete(path, header, size - 8 - length)
                    return header
    except OSError as error:
        raise NetworkFileError(f"no network file can be read at {path}: {error.strerror or error}") from error
    raise NetworkFileError(f"{path}: {_what_it_is(start, size)}; expected a network file (.safetensors)")


def _parse(header: bytes) -> dict[str, Any] | None:
    """Return the header as a dict, or None where it is not one of safetensors."""
    try:
        values = json.loads(header)
        _last_byte(values)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None
    return dict(values)


def _last_byte(header: dict[str, Any]) -> int:
    """Return where the last tensor ends, in bytes after the header."""
    return max((int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"), default=0)


def _check_complete(path: Path, header: dict[str, Any], found: int) -> None:
    """Raise `NetworkFileError` where fewer tensor bytes follow the header than it promises."""
    if found < (expected := _last_byte(header)):
        raise NetworkFileError(
            f"{path}: truncated, {found:,} of {expected:,} bytes of tensors are there; copy or save the file again"
        )


def _what_it_is(start: bytes, size: int) -> str:
    if size == 0:
        return "an empty file"
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return "looks like a pickle of torch.save, which glassnet does not load as a network"
    if size < 8 + int.from_bytes(start, "little") <= _LONGEST_HEADER:
        return f"truncated, only {size:,} bytes"
    return "not a safetensors file"


def load_tensors(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy `tensors` into `module`, which must have exactly these names and shapes.

    Raises `NetworkFileError` that names `where` and lists missing, extra and mis-shaped ones; then nothing is copied.
    """
    check_fit({name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}, tensors, where)
    module.load_state_dict(dict(tensors))


def check_fit(expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise `NetworkFileError` unless `tensors` have exactly the names and shapes `expected`; list the others."""
    complaints = [f"missing {name}" for name in expected if name not in tensors]
    complaints += [f"extra {name}" for name in tensors if name not in expected]
    complaints += [
        f"{name} has shape {tuple(tensors[name].shape)}, expected {shape}"
        for name, shape in expected.items()
        if name in tensors and tensors[name].shape != shape
    ]
    if complaints:
        shown, more = "; ".join(complaints[:8]), len(complaints) - 8
        rest = f"; and {more} more" if more > 0 else ""
        raise NetworkFileError(f"{where}: the tensors do not fit the architecture: {shown}{rest}")
