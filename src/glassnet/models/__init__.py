"""Networks: a registry, one file per family, weights of others, and the network file's life (`Network`)."""

from glassnet.models import described as described
from glassnet.models import efficientnet_lite as efficientnet_lite
from glassnet.models import lenet as lenet
from glassnet.models import mobilenet_v2 as mobilenet_v2
from glassnet.models import resnet as resnet
from glassnet.models import sprint as sprint
from glassnet.models import vgg as vgg
from glassnet.models.network import Network, Prediction, Predictor, load_network
from glassnet.models.registry import (
    Classifier,
    Description,
    create,
    default_preprocess,
    describe,
    names,
    register,
    resolve,
)

__all__ = [
    "Classifier",
    "Description",
    "Network",
    "Prediction",
    "Predictor",
    "create",
    "default_preprocess",
    "describe",
    "load_network",
    "names",
    "register",
    "resolve",
]
