"""The methods by name: where each lives, what it is called, what it answers, and its paper.

A method is a function `method(case, *, layer=..., **settings) -> Explanation` in its own file; those that look at no
layer take no `layer`. The table is the one place that knows them all, so a name costs no import before it is used.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from glassnet.errors import InputError, UnknownName, nearest
from glassnet.explain.explanation import Explanation


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way of explaining: its name, title, the question it answers, its paper, and where its function lives."""

    name: str
    title: str
    question: str
    paper: str
    home: str

    @property
    def function(self) -> Callable[..., Explanation]:
        """The function that does it."""
        module, _, function = self.home.partition(":")
        found: Callable[..., Explanation] = getattr(import_module(module), function)
        return found

    @property
    def settings(self) -> dict[str, Any]:
        """What it can be set to beside the case, with the defaults."""
        parameters = list(inspect.signature(self.function).parameters.values())[1:]
        return {parameter.name: parameter.default for parameter in parameters}


def _method(name: str, title: str, home: str, question: str, paper: str) -> Method:
    return Method(name=name, title=title, home=f"glassnet.explain.{home}", question=question, paper=paper)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        _method(
            "occlusion",
            "Occlusion",
            "occlusion.maps:occlusion",
            "How much less likely is the class with this part covered?",
            "Zeiler & Fergus 2013, arXiv:1311.2901, section 4.2",
        ),
        _method(
            "gradcam",
            "Grad-CAM",
            "class_maps:gradcam",
            "Where does the last map hold what the class asks for?",
            "Selvaraju et al. 2017, arXiv:1610.02391",
        ),
        _method(
            "gradcam++",
            "Grad-CAM++",
            "class_maps:gradcam_plus_plus",
            "As Grad-CAM, for a class that is seen several times.",
            "Chattopadhyay et al. 2018, arXiv:1710.11063",
        ),
        _method(
            "cam",
            "CAM",
            "class_maps:cam",
            "What does each position add to the class's score?",
            "Zhou et al. 2016, arXiv:1512.04150",
        ),
        _method(
            "scorecam",
            "Score-CAM",
            "class_maps:scorecam",
            "Which maps, used as masks, keep the class likely?",
            "Wang et al. 2020, arXiv:1910.01279",
        ),
        _method(
            "gradient",
            "Gradient",
            "projections:gradient",
            "Which pixels would change the class's score most, if changed a little?",
            "Simonyan et al. 2013, arXiv:1312.6034",
        ),
        _method(
            "deconvnet",
            "Deconvnet",
            "projections:deconvnet",
            "Which pattern in the picture made this layer answer?",
            "Zeiler & Fergus 2013, arXiv:1311.2901, section 2",
        ),
        _method(
            "guided",
            "Guided backpropagation",
            "projections:guided",
            "Which pattern made this layer answer, where both passes agree?",
            "Springenberg et al. 2014, arXiv:1412.6806",
        ),
        _method(
            "integrated_gradients",
            "Integrated gradients",
            "attributions:integrated_gradients",
            "How much does each pixel add to the score, from a baseline on?",
            "Sundararajan et al. 2017, arXiv:1703.01365",
        ),
        _method(
            "smoothgrad",
            "SmoothGrad",
            "attributions:smoothgrad",
            "The gradient, averaged over pictures with a little noise.",
            "Smilkov et al. 2017, arXiv:1706.03825",
        ),
        _method(
            "rise",
            "RISE",
            "attributions:rise",
            "Which parts, left visible at random, keep the class likely?",
            "Petsiuk et al. 2018, arXiv:1806.07421",
        ),
        _method(
            "features",
            "Strongest maps",
            "features:strongest_maps",
            "Where does this layer answer at all?",
            "Zeiler & Fergus 2013, arXiv:1311.2901",
        ),
        _method(
            "inversion",
            "Inversion",
            "inversion:inversion",
            "What does this layer still know of the picture?",
            "Mahendran & Vedaldi 2015, arXiv:1412.0035",
        ),
        _method(
            "maximisation",
            "Activation maximisation",
            "maximisation:maximisation",
            "What would the network most like to see as this class?",
            "Simonyan et al. 2013, arXiv:1312.6034, section 2",
        ),
    )
}


def find(name: str) -> Method:
    """Return the method called `name`; raise `UnknownName`."""
    if name not in METHODS:
        raise UnknownName("method", name, METHODS, hint=f"there are: {', '.join(METHODS)}")
    return METHODS[name]


def check_settings(method: Method, given: Iterable[str]) -> None:
    """Raise `InputError` for a setting that `method` does not take."""
    known = method.settings
    for name in given:
        if name not in known:
            near = nearest(name, known)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            takes = f"it takes: {', '.join(known)}" if known else "it takes none"
            raise InputError(f"{method.title} takes no setting {name!r}; {takes}{hint}")
