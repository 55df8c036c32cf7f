"""The live line: in a terminal with its rate, elsewhere nothing."""

from __future__ import annotations

import io

from rich.console import Console

from glassnet.explain.progress import live


def told(*, terminal: bool, quiet: bool = False) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, legacy_windows=False)
    with live("explaining", quiet=quiet, console=console) as tell:
        for done in (1, 2, 3, 1, 2):  # a second method begins anew
            tell(done, 3)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_sees_what_is_done_and_others_nothing() -> None:
    shown = told(terminal=True)
    assert "explaining" in shown
    assert "2/3" in shown
    assert told(terminal=False) == ""
    assert told(terminal=True, quiet=True) == ""
