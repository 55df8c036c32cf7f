"""What a user can ask of a network and a picture, as plain functions: `explain`, `look`, `patches`, `filters`.

`verbs` and the command line pass on to these. They load, choose and check; the methods are in files of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from glassnet.data.index import scan
from glassnet.data.pictures import Pictures, load_pictures
from glassnet.errors import InputError, PictureError, nearest
from glassnet.explain.case import Case, Progress, no_progress
from glassnet.explain.choose import AUTO, stages
from glassnet.explain.explanation import Explanation
from glassnet.explain.figures.first_layer import FirstFilters, first_filters
from glassnet.explain.figures.rows import Explained
from glassnet.explain.figures.save import check_output
from glassnet.explain.inside import Inside
from glassnet.explain.judging.judge import judge
from glassnet.explain.judging.verdict import Verdict
from glassnet.explain.methods import METHODS, Method, find
from glassnet.explain.occlusion.maps import OcclusionStudy
from glassnet.explain.page.look import look_at
from glassnet.explain.patches import ChannelPatches, top_patches
from glassnet.explain.strongest import TOP
from glassnet.explain.teaching.filtering import Filtered, convolve, read_photo
from glassnet.explain.teaching.kernels import kernels as named_kernels
from glassnet.files import write_text
from glassnet.models.network import Network, load_network
from glassnet.models.prediction import Picture
from glassnet.nn.device import set_threads

Settings = Mapping[str, Any]
KERNELS = ("sobel_x", "sobel_y", "laplacian")
"""What a photo is filtered with where nobody names a kernel."""


STUDY = Method(
    name="study",
    title="Occlusion study",
    question="Which class is likely, which likeliest, and how active is a map, with the occluder here?",
    paper="Zeiler & Fergus 2013, arXiv:1311.2901, section 4.2",
    home="glassnet.explain.occlusion.maps:study",
)
"""A figure of several maps from one pass; so it is no row of `METHODS`, each of which gives one map."""
STAGES = "stages"


@dataclass(frozen=True)
class Question:
    """A method and what it is set to."""

    method: Method
    settings: Settings

    def ask(self, cases: Sequence[Case]) -> list[Explanation]:
        """Return what the method finds for each of `cases`, one picture's classes; the study looks at all at once."""
        function: Any = self.method.function
        if self.method is not STUDY:
            return [function(case, **self.settings) for case in cases]
        found: OcclusionStudy = function(cases[0], labels=[case.target for case in cases], **self.settings)
        return [*found.probabilities, found.likeliest, *([found.activity] if found.activity else [])]


def known_methods() -> dict[str, Method]:
    """Return everything that `explain_pictures` can be asked, by name."""
    return {**METHODS, STUDY.name: STUDY}


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
    layer: str | Sequence[str] = AUTO,
    label: str | int | Sequence[str | int] = "top",
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
            took in its note. Methods that explain a class without a layer explain a layer's answer where one is named.
            Of several layers each is looked at; "stages" are the last layers of all stages, from the picture on.
        label: the class to explain: its name, its number, or "top" for the likeliest of each picture; of several, each
            method explains one after the other.
        settings: of the methods, by name; each goes to every method that takes it, and "occlusion.stride" to one.
        seed: for the methods that draw.

    Raises:
        UnknownName: a method, layer or class. InputError: a setting that no method takes, or that is out of range.
    """
    layers = [layer] if isinstance(layer, str) else list(layer)
    questions(methods, layers, settings or {}, seed)  # wrong words are said before the network is opened
    opened = _open(network, pretrained=pretrained, threads=threads)
    inside = Inside.of(opened, device=device)
    if STAGES in layers:
        layers = [found.name for found in stages(inside)]
    asked = questions(methods, layers, settings or {}, seed)
    labels = [label] if isinstance(label, str | int) else list(label)
    for picture in pictures:
        path = str(picture) if isinstance(picture, str | Path) else None
        try:
            case = Case.of(opened, picture, inside=inside, device=device, progress=progress)
        except PictureError as error:
            if strict:
                raise _naming(error, path) from error
            yield Explained(path, error=str(error))
            continue
        cases = [case.about(label) for label in labels]
        yield Explained(path, [found for question in asked for found in question.ask(cases)])


def questions(names: Sequence[str], layers: Sequence[str], settings: Settings, seed: int) -> list[Question]:
    """Return the methods called `names`, each with those of the settings that it takes, once for each of `layers`.

    Raises `UnknownName` for a method, `InputError` for a setting or a layer that none of them takes.
    """
    methods = [STUDY if name == STUDY.name else find(name) for name in dict.fromkeys(names)]
    if not methods:
        raise InputError("no method is given; see `glassnet explain --methods`")
    takes = {method.name: method.settings for method in methods}
    takes.get(STUDY.name, {}).pop("labels", None)  # the classes are asked for by themselves
    named = list(layers) != [AUTO]
    for name in [*settings, *(["layer"] if named else [])]:
        _check_taken(name, takes)
    found = []
    for method in methods:
        own = {name: value for name, value in settings.items() if name in takes[method.name]}
        own |= {name.partition(".")[2]: value for name, value in settings.items() if name.startswith(f"{method.name}.")}
        own = ({"seed": seed} if "seed" in takes[method.name] else {}) | own
        if named and "layer" in takes[method.name]:
            found += [Question(method, {**own, "layer": layer}) for layer in layers]
        else:
            found.append(Question(method, own))
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


def judge_methods(
    network: str | Path | Network,
    data: str | Path,
    methods: Sequence[str],
    *,
    settings: Settings | None = None,
    pretrained: bool | str = False,
    device: str = "auto",
    threads: int | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
    **choices: Any,
) -> Verdict:
    """Judge methods on `network` with the pictures of `data`: how surely can each be believed here?

    `choices` are those of `glassnet.explain.judging.judge.judge`. Raises what `explain_pictures` and `scan` raise.
    """
    asked = questions(methods, [AUTO], settings or {}, seed)
    opened = _open(network, pretrained=pretrained, threads=threads)
    pictures = data_of(opened, data, seed)
    given = {question.method.name: question.settings for question in asked}
    return judge(opened, pictures, list(given), settings=given, device=device, seed=seed, progress=progress, **choices)


def patches(
    network: str | Path | Network,
    data: str | Path,
    *,
    layer: str = AUTO,
    channels: Sequence[int] | None = None,
    top: int = TOP,
    pretrained: bool | str = False,
    device: str = "auto",
    threads: int | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> list[ChannelPatches]:
    """Return, of each of some channels of a layer, the `top` pictures of `data` it answers most, cut and projected.

    `channels` are numbers; None takes the 16 that answer most. Draw them with
    `glassnet.explain.figures.patches.draw_patches`. Raises `UnknownName` for the layer, `InputError` for a channel that
    it does not have, `DataError`.
    """
    opened = _open(network, pretrained=pretrained, threads=threads)
    Inside.of(opened, device=device).layer(layer) if layer != AUTO else None  # a wrong name is said before the data
    pictures = data_of(opened, data, seed)
    chosen: Any = "strongest" if channels is None else list(channels)
    return top_patches(opened, pictures, layer, chosen, top=top, device=device, progress=progress)


def data_of(network: Network, data: str | Path, seed: int) -> Pictures:
    """Return the pictures of `data` (of a source with a test set, those), decoded as `network` sees them."""
    return load_pictures(scan(data, evaluate_only=True, seed=seed), network.preprocess)


def look(
    network: str | Path | Network,
    picture: Picture,
    output: str | Path | None = None,
    *,
    pretrained: bool | str = False,
    threads: int | None = None,
    **choices: Any,
) -> str:
    """Return one HTML page that shows what every layer makes of a picture; also write it to `output`, where given.

    `choices` are those of `glassnet.explain.page.look.look_at`: label, all_layers, layer, steps, device, progress.
    Raises `PictureError`, `UnknownName`, `InputError`, `StorageError`.
    """
    if output is not None:
        check_output(Path(output), (".html",))
    opened = _open(network, pretrained=pretrained, threads=threads)
    try:
        page = look_at(opened, picture, **choices)
    except PictureError as error:
        raise _naming(error, str(picture) if isinstance(picture, str | Path) else None) from error
    if output is not None:
        write_text(Path(output), page)
    return page


def filters(
    photo: str | Path,
    kernels: str | Sequence[str] = KERNELS,
    *,
    stride: int = 1,
    padding: int | str = "same",
    beyond: str = "replicate",
) -> list[Filtered]:
    """Slide fixed kernels over a photo; return what each answers at every position.

    `kernels` are names and numbers as in `glassnet.explain.teaching.kernels.kernels`; the other arguments and errors
    are those of `filtering.convolve`, and `PictureError`.
    """
    chosen = named_kernels([kernels] if isinstance(kernels, str) else kernels)
    picture = read_photo(photo)
    return [convolve(picture, kernel, stride=stride, padding=padding, beyond=beyond) for kernel in chosen]


def network_filters(network: str | Path | Network, *, pretrained: bool | str = False) -> FirstFilters:
    """Return the filters of the first convolution of `network`; raise `InputError` where there is none."""
    return first_filters(Inside.of(_open(network, pretrained=pretrained, threads=None)))


def _naming(error: PictureError, path: str | None) -> PictureError:
    """Return the error with the picture's path in its message."""
    if path is None or path in str(error):
        return error
    return PictureError(f"cannot read {path}: {error}", kind=error.kind)


def _open(network: str | Path | Network, *, pretrained: bool | str, threads: int | None) -> Network:
    set_threads(threads)
    return network if isinstance(network, Network) else load_network(network, pretrained=pretrained)
