"""What a user can ask of a network and a picture, as plain functions: the verbs `explain`, `look`, `patches`, `filters`.

`verbs` and the command line pass on to these. They load, choose and check; the methods are in files of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import torch

from glassnet.errors import InputError, PictureError, nearest
from glassnet.explain.case import Case, Progress, no_progress
from glassnet.explain.choose import AUTO
from glassnet.explain.explanation import Explanation
from glassnet.explain.figures.rows import Explained
from glassnet.explain.inside import Inside
from glassnet.explain.methods import Method, find
from glassnet.models.network import Network, load_network
from glassnet.models.prediction import Picture
from glassnet.nn.device import set_threads

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """A method and what it is set to."""

    method: Method
    settings: Settings

    def ask(self, case: Case) -> Explanation:
        """Return what the method finds."""
        return self.method.function(case, **self.settings)


@overload
def explain_picture(
    network: str | Path | Network, picture: Picture, *, method: str = ..., **choices: Any
) -> Explanation: ...
@overload
def explain_picture(
    network: str | Path | Network, picture: Picture, *, method: Sequence[str], **choices: Any
) -> list[Explanation]: ...
def explain_picture(
    network: str | Path | Network, picture: Picture, *, method: str | Sequence[str] = "gradcam", **choices: Any
) -> Explanation | list[Explanation]:
    """Explain why `network` gives a picture its class: one `Explanation`, or a list where `method` is a list.

    >>> found = explain_picture("runs/mine", "a.jpg", method="occlusion", stride=4)  # doctest: +SKIP
    >>> found.save("a.png")  # doctest: +SKIP

    It is not called `explain` because that is the name of the folder that holds the methods.

    Args:
        network: a run folder, a network file, a registered name with `pretrained`, or a `Network`.
        picture: a path, a file's bytes, a PIL image or an array, as for a prediction.
        method: names of methods, see `glassnet.explain.methods`.
        choices: layer, label, pretrained, device, threads, seed, progress as for `explain_pictures`; every other is a
            setting of the methods.

    Raises:
        PictureError: the picture cannot be read. UnknownName: method, layer or class. InputError: a setting.
    """
    names = ("layer", "label", "pretrained", "device", "threads", "seed", "progress")
    known = {name: choices.pop(name) for name in names if name in choices}
    methods = [method] if isinstance(method, str) else list(method)
    (found,) = explain_pictures(network, [picture], methods, settings=choices, strict=True, **known)
    return found.explanations[0] if isinstance(method, str) else list(found.explanations)


def explain_pictures(
    network: str | Path | Network,
    pictures: Sequence[Picture],
    methods: Sequence[str],
    *,
    layer: str = AUTO,
    label: str | int = "top",
    settings: Settings | None = None,
    pretrained: bool | str = False,
    device: str = "auto",
    threads: int | None = None,
    seed: int = 0,
    strict: bool = False,
    progress: Progress = no_progress,
) -> Iterator[Explained]:
    """Yield the explanations of each picture, in the order of `methods`.

    A picture that cannot be read gives an `Explained` with its error, or raises where `strict`.

    Args:
        layer: a layer's or stage's name for the methods that look at one; "auto" leaves it to each, which says what it
            took in its note. Methods that explain a class without a layer explain that layer's answer where one is named.
        label: the class to explain: its name, its number, or "top" for the likeliest of each picture.
        settings: of the methods, by name; each goes to every method that takes it, and "occlusion.stride" to one.
        seed: for the methods that draw.

    Raises:
        UnknownName: a method, layer or class. InputError: a setting that no method takes, or that is out of range.
    """
    set_threads(threads)
    asked = questions(methods, layer, settings or {}, seed)
    opened = network if isinstance(network, Network) else load_network(network, pretrained=pretrained)
    inside = Inside.of(opened, device=device)
    for picture in pictures:
        path = str(picture) if isinstance(picture, str | Path) else None
        try:
            case = Case.of(opened, picture, label=label, inside=inside, device=device, progress=progress)
        except PictureError as error:
            if strict:
                raise
            yield Explained(path, error=str(error))
            continue
        yield Explained(path, [question.ask(case) for question in asked])


def questions(names: Sequence[str], layer: str, settings: Settings, seed: int) -> list[Question]:
    """Return the methods called `names`, each with those of the settings that it takes.

    Raises `UnknownName` for a method, `InputError` for a setting or a layer that none of them takes.
    """
    methods = [find(name) for name in dict.fromkeys(names)]
    if not methods:
        raise InputError("no method is given; see `glassnet explain --methods`")
    takes = {method.name: method.settings for method in methods}
    given = dict(settings) | ({"layer": layer} if layer != AUTO else {})
    for name in given:
        _check_taken(name, takes)
    found = []
    for method in methods:
        own = {name: value for name, value in given.items() if name in takes[method.name]}
        own |= {name.partition(".")[2]: value for name, value in given.items() if name.startswith(f"{method.name}.")}
        drawn = {"seed": seed} if "seed" in takes[method.name] else {}
        found.append(Question(method, drawn | own))
    return found


def _check_taken(name: str, takes: Mapping[str, Settings]) -> None:
    """Raise `InputError` for a setting that no method takes."""
    whose, _, inner = name.rpartition(".")
    if whose and whose not in takes:
        raise InputError(f"setting {name!r} is for {whose!r}, which is not asked for; it is one of {', '.join(takes)}")
    known = dict.fromkeys(setting for method in ([whose] if whose else takes) for setting in takes[method])
    if inner not in known:
        near = nearest(inner, known)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        listed = f"what there is: {', '.join(known)}" if known else "there is none"
        raise InputError(f"{' and '.join([whose] if whose else takes)} takes no setting {inner!r}; {listed}{hint}")


def opened(network: str | Path, *, pretrained: bool | str, threads: int | None, seed: int) -> Network:
    """Return a network to look into, threads and torch's seed set."""
    set_threads(threads)
    torch.manual_seed(seed)
    return load_network(network, pretrained=pretrained)
