"""What a person sees of a long method: one live line with its rate and the time left, nothing where nobody looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from glassnet.explain.case import Progress, no_progress


class Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """Return the rate as text."""
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s")


@contextmanager
def live(what: str, *, quiet: bool = False, console: Console | None = None) -> Iterator[Progress]:
    """Yield a function to tell (done, total); it shows a line on stderr, in a terminal only.

    A method that begins anew (done falls) begins the line anew, so that rate and time left are its own.
    """
    console = console or Console(stderr=True)
    if quiet or not console.is_terminal:
        yield no_progress
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), Rate(), TimeRemainingColumn(),
    )  # fmt: skip
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        last = 0

        def tell(done: int, total: int) -> None:
            nonlocal last
            if done < last:
                bar.reset(task, total=total)
            last = done
            bar.update(task, completed=done, total=total)

        yield tell
