"""TensorBoard events beside metrics.jsonl, where TensorBoard is installed; nothing where it is not."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

_GROUPS = ("train", "validation")


class Events:
    """Writes lines of metrics to `folder`/tensorboard; as a context manager it closes the file at the end."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._writer: Any = None

    def __enter__(self) -> Events:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, line: dict[str, Any]) -> None:
        """Add the numbers of a line at its step; a resumed training replaces what a killed one wrote after it."""
        if self._folder is None:
            return
        if self._writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:  # an optional extra; metrics.jsonl holds the same numbers
                self._folder = None
                return
            self._writer = SummaryWriter(str(self._folder / "tensorboard"), purge_step=line["step"])
        for name, value in line.items():
            if isinstance(value, int | float) and name not in ("step", "best"):
                group, _, rest = name.partition("_")
                tag = f"{rest}/{group}" if group in _GROUPS else name  # train and validation in one plot
                self._writer.add_scalar(tag, value, line["step"])
