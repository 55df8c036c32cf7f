"""Networks: a registry, one file per family, weights of others, and the network file's life (`Network`)."""

from glassnet.models import alexnet as alexnet
from glassnet.models import bn_inception as bn_inception
from glassnet.models import described as described
from glassnet.models import efficientnet_lite as efficientnet_lite
from glassnet.models import googlenet as googlenet
from glassnet.models import lenet as lenet
from glassnet.models import mobilenet_v1 as mobilenet_v1
from glassnet.models import mobilenet_v2 as mobilenet_v2
from glassnet.models import nin as nin
from glassnet.models import preresnet as preresnet
from glassnet.models import resnet as resnet
from glassnet.models import resnet_cifar as resnet_cifar
from glassnet.models import sprint as sprint
from glassnet.models import squeezenet as squeezenet
from glassnet.models import vgg as vgg
from glassnet.models import zfnet as zfnet
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
