"""glassnet: convolutional networks in a glass case.

Train a convolutional network on your own pictures, judge it honestly, see why it decides, ship it:

>>> import glassnet
>>> run = glassnet.train("photos/")                      # doctest: +SKIP
>>> network = glassnet.load(run.path)                    # doctest: +SKIP
>>> network.predict(["a.jpg"])[0].label                  # doctest: +SKIP
'cat'
>>> glassnet.explain_picture(network, "a.jpg", method="occlusion").save("why.png")  # doctest: +SKIP

Names load when they are first used, so `import glassnet` and `glassnet --help` wait for neither torch nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Detections": "glassnet.detection.detections",
    "Detector": "glassnet.detection.detector",
    "Explanation": "glassnet.explain.explanation",
    "GlassnetError": "glassnet.errors",
    "Network": "glassnet.models.network",
    "Prediction": "glassnet.models.network",
    "Preprocess": "glassnet.preprocess",
    "Recipe": "glassnet.training.recipes",
    "Run": "glassnet.training.run",
    "check_data": "glassnet.verbs",
    "compare": "glassnet.verbs",
    "convert_data": "glassnet.verbs",
    "detect": "glassnet.finding",
    "evaluate": "glassnet.verbs",
    "explain_picture": "glassnet.explain.api",
    "filters": "glassnet.explain.api",
    "find_learning_rate": "glassnet.verbs",
    "inspect": "glassnet.verbs",
    "load": "glassnet.verbs",
    "look": "glassnet.explain.api",
    "patches": "glassnet.explain.api",
    "predict": "glassnet.verbs",
    "resume": "glassnet.verbs",
    "train": "glassnet.verbs",
    "write_report": "glassnet.verbs",
}
__all__ = sorted(_HOME)  # noqa: PLE0605 - the table above is the surface; a test freezes it

if TYPE_CHECKING:
    from glassnet.detection.detections import Detections as Detections
    from glassnet.detection.detector import Detector as Detector
    from glassnet.errors import GlassnetError as GlassnetError
    from glassnet.explain.api import explain_picture as explain_picture
    from glassnet.explain.api import filters as filters
    from glassnet.explain.api import look as look
    from glassnet.explain.api import patches as patches
    from glassnet.explain.explanation import Explanation as Explanation
    from glassnet.finding import detect as detect
    from glassnet.models.network import Network as Network
    from glassnet.models.network import Prediction as Prediction
    from glassnet.preprocess import Preprocess as Preprocess
    from glassnet.training.recipes import Recipe as Recipe
    from glassnet.training.run import Run as Run
    from glassnet.verbs import check_data as check_data
    from glassnet.verbs import compare as compare
    from glassnet.verbs import convert_data as convert_data
    from glassnet.verbs import evaluate as evaluate
    from glassnet.verbs import find_learning_rate as find_learning_rate
    from glassnet.verbs import inspect as inspect
    from glassnet.verbs import load as load
    from glassnet.verbs import predict as predict
    from glassnet.verbs import resume as resume
    from glassnet.verbs import train as train
    from glassnet.verbs import write_report as write_report


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'glassnet' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
