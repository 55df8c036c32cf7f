"""What README and docs say is so: links lead somewhere, commands have these verbs and options, networks are named."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from glassnet.cli import app
from glassnet.models import registry
from glassnet.training.recipes import RECIPES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(text: str) -> list[list[str]]:
    """Return the words of each `glassnet ...` line in the fenced blocks of `text`."""
    blocks = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace(";", "\n").splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if "glassnet " in line and "->" not in line]
    return [line[line.index("glassnet") + 1 :] for line in words if "glassnet" in line]


def unknown_words(words: list[str]) -> list[str]:
    """Return the verb or options of a command line that the command line does not have."""
    command: Any = typer.main.get_command(app)
    words = list(words)
    while hasattr(command, "commands"):
        if not words or words[0] not in command.commands:
            return words[:1]
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return [word for word in words if word.startswith("-") and len(word) > 1 and word not in {*known, "--help"}]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_these_verbs_and_options(page: Path) -> None:
    assert [(line, wrong) for line in commands(page.read_text("utf-8")) if (wrong := unknown_words(line))] == []


def test_the_check_of_commands_can_fail() -> None:
    found = commands("```\nglassnet trian x\nglassnet train x --epoch 3; glassnet data list --json\n```\n")
    assert [unknown_words(line) for line in found] == [["trian"], ["--epoch"], []]
    assert len(commands((ROOT / "README.md").read_text("utf-8"))) > 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_pages_and_headings(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE) if anchor else []
        anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, link


def test_the_readme_names_every_network() -> None:
    table = (ROOT / "README.md").read_text("utf-8").partition("### Networks")[2].partition("\n## ")[0]
    named: set[str] = set()
    for row in table.splitlines():
        last = ""
        for word in re.findall(r"`([\w-]+)`", row):
            # "`resnet18`, `34`" is short for resnet34, and "each with `_bn`" for vgg11_bn ...
            if word.isdigit():
                word = re.sub(r"\d+", word, last, count=1)  # noqa: PLW2901
            named |= {name + word for name in named if name in row} if word.startswith("_") else {word}
            last = word
    assert set(registry.names()) - named == set()


def test_the_training_page_names_the_recipes() -> None:
    page = (ROOT / "docs" / "training.md").read_text("utf-8")
    assert all(f"`{name}`" in page for name in RECIPES.named() if not name.startswith("sprint_"))
