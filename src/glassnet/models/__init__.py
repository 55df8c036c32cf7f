"""Networks: a registry, one file per family, and the network file's life (`Network`)."""

from glassnet.models import lenet, resnet
from glassnet.models.registry import Classifier, Description, create, default_preprocess, describe, names, register

__all__ = [
    "Classifier",
    "Description",
    "create",
    "default_preprocess",
    "describe",
    "lenet",
    "names",
    "register",
    "resnet",
]
