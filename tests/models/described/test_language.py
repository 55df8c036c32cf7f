"""Mistakes in a description: each ends in one sentence that names the file, the line and the numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from glassnet.errors import InputError
from glassnet.models.described import read
from glassnet.models.described.network import described

HEAD = "input = [28, 28, 1]\n"  # line 1; what follows begins at line 2
CONV = "[[layers]]\nconv = 8\n"  # lines 2 and 3
BRANCHES = "layers = [\n{ conv = 8 },\n{ branches = [\n[ { conv = 4 } ],\n[ { conv = 4, stride = 2 } ],\n] },\n]\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text)
    return path


# ruff: noqa: E501 - a table whose rows are a text and what is said of it
@pytest.mark.parametrize(
    "text, match",
    [
        ("layers = [{ conv = 8 }]", r"my.toml: input is missing; expected input = \[height, width, channels\]"),
        ("input = [28, 28]\n" + CONV, r"my.toml line 1: input is \[28, 28\]; expected \[height, width, channels\]"),
        ("input = [28, 28, 0]\n" + CONV, r"my.toml line 1: input is \[28, 28, 0\]"),
        (HEAD, r"my.toml: there are no layers; write a \[\[layers\]\] table"),
        (HEAD + "nmae = 'x'\n" + CONV, r"my.toml line 2: the file has no key 'nmae'; nearest: name"),
        (HEAD + "name = 3\n" + CONV, "my.toml line 2: name is 3; expected a name in quotes"),
        (HEAD + "layers = 3", "my.toml line 2: layers is 3; expected a list of layers"),
        (HEAD + CONV + "kernl = 3", r"my.toml line 4 \(layer 1\): a conv layer has no key 'kernl'; nearest: kernel"),
        (HEAD + CONV + "colour = 3", r"line 4 \(layer 1\): a conv layer has no key 'colour'; it has conv, kernel"),
        (HEAD + CONV + "[[layers]]\ncnv = 3", r"line 4 \(layer 2\): it says cnv.*did you mean 'conv'\?; one of conv"),
        (HEAD + CONV + "dense = 3", r"line 4 \(layer 1\): a layer is one thing, and this is both conv and dense"),
        (HEAD + "[[layers]]\nconv = 0", r"line 3 \(layer 1\): conv is 0; expected a whole number from 1 to 65536"),
        (HEAD + "[[layers]]\nconv = true", r"line 3 \(layer 1\): conv is True; expected a whole number"),
        (HEAD + CONV + "kernel = [3, 3, 3]", r"line 4 .*kernel is \[3, 3, 3\]; expected a whole number or \[height, w"),
        (HEAD + CONV + "padding = 'sme'", r"line 4 .*padding is 'sme'; expected one of valid, same, half; did you mea"),
        (HEAD + CONV + "padding = [1, 2, 3]", r"line 4 .*expected valid, same, half, a whole number, \[vertical, hori"),
        (HEAD + CONV + "padding_mode = 'mirror'", r"line 4 .*'mirror'; expected one of zeros, replicate, reflect, c"),
        (HEAD + CONV + "bias = 1", r"line 4 .*bias is 1; expected true or false"),
        (HEAD + CONV + "groups = 'deep'", r"line 4 .*expected 'depthwise' or a whole number of at least 1"),
        (HEAD + CONV + "weight_l2 = -1", r"line 4 .*weight_l2 is -1; expected a number of at least 0"),
        (HEAD + CONV + "weight_l2 = inf", r"line 4 .*weight_l2 is inf"),
        (HEAD + CONV + "dropout = 1.0", r"line 4 .*dropout is 1.0; expected a number of at least 0 and below 1"),
        (HEAD + CONV + "activation = 'rlu'", r"line 4 .*activation is 'rlu'; expected one of.*did you mean 'relu'"),
        (HEAD + CONV + "activation = { type = 'elu', slope = 1 }", r"line 4 .*; expected elu to have only alpha"),
        (HEAD + CONV + "activation = { type = 'relu', x = 1 }", r"line 4 .*; expected relu to have no arguments"),
        (HEAD + CONV + "weights = { std = 0.1 }", r"line 4 .*expected one of torch.*or { type = "),
        (HEAD + CONV + "weights = { type = 'normal', std = 'x' }", r"line 4 .*expected std to be a number"),
        (HEAD + CONV + "weights = { type = 'normal', std = -1 }", r"line 2 \(layer 1\): .*std is -1; expected at least"),
        (HEAD + CONV + "weights = { type = 'he_normal', fan = 'up' }", r"line 2 .*fan is 'up'; expected 'in' or 'out'"),
        (HEAD + CONV + "biases = 'he_normal'", r"line 4 .*biases is 'he_normal'; expected one of torch, zeros"),
        (HEAD + CONV + "norm = 'batch'\nbiases = 'zeros'", r"line 2 .*biases is given, but there is no bias"),
        (HEAD + CONV + "norm = { type = 'group', groups = 3 }", r"line 2 .*a group norm of 3 groups does not divide 8"),
        (HEAD + CONV + "norm = { type = 'group', groups = 1.5 }", r"line 4 .*expected groups to be a whole number"),
        (HEAD + CONV + "stage = 'a b'", r"line 4 .*stage is 'a b'; expected a name of letters, digits and _"),
        (HEAD + CONV + "stage = 'append'", r"line 4 .*no stage can be called 'append'"),
        (HEAD + 2 * (CONV + "stage = 'a'\n"), r"line 7 \(layer 2\): two stages are called 'a'"),
        (HEAD + "[[layers]]\nflatten = false", r"line 3 .*flatten is False; expected true"),
        (HEAD + "[[layers]]\npool = 'avg'", r"line 3 .*pool is 'avg'; expected one of max, average.*mean 'average'"),
        (HEAD + "[[layers]]\nblock = 'residul'", r"line 3 .*block is 'residul'.*did you mean 'residual'"),
        (HEAD + "[[layers]]\nblock = 'residual'", r"line 2 \(layer 1\): residual on 1x28x28 .*: it needs width"),
        (HEAD + "[[layers]]\nblock = 'residual'\nwidths = [3]", r"line 4 .*a residual block has no key 'widths'; nearest"),
        (HEAD + "[[layers]]\nblock = 'residual'\nwidth = 3\nstride = [1, 2]", r"line 5 .*stride is \[1, 2\]; expected a w"),
        (HEAD + "[[layers]]\nblock = 'inception'\nwidths = [1, 2]", r"line 2 .*widths is \[1, 2\]; expected \[1x1, \["),
        (HEAD + "[[layers]]\nblock = 'fire'\nwidths = ['a']", r"line 4 .*widths is \['a'\]; expected a list of whole"),
        (HEAD + "[[layers]]\nbranches = [[]]", r"line 3 .*branches are at least two lists of layers"),
        (HEAD + "[defaults]\nkernl = 3\n" + CONV, r"line 3: \[defaults\] has no key 'kernl'; nearest: kernel"),
        (HEAD + "[defaults.conv]\nwidth = 3\n" + CONV, r"line 3: \[defaults.conv\] has no key 'width'"),
        (HEAD + "[defaults]\nbias = 3\n" + CONV, r"line 3: bias is 3; expected true or false"),
        (HEAD + "[defaults]\nlayers = [{ conv = 3 }]\n", r"line 3: layers stands behind \[defaults\] and so belongs to it"),
        (HEAD + "defaults = 3\n" + CONV, r"line 2: defaults is 3; expected a table \[defaults\]"),
        (HEAD + CONV + "[output]\nkernel = 3", r"line 5: \[output\] has no key 'kernel'"),
        (HEAD + CONV + "[[layers]]\nlayers = [{ stage = 'a', conv = 3 }]", r"line 5 \(layer 2, layer 1\): a stage begins"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_named_with_its_line(text: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match):
        read(written(tmp_path, text))


@pytest.mark.parametrize(
    "text, match",
    [
        (CONV + "kernel = 30\npadding = 'valid'", r"line 2 \(layer 1\): conv on 1x28x28 \(channels x height x width\): a "
         r"kernel of 30 does not fit an input of 28 padded by 0 \+ 0"),
        (CONV + "dilation = 14\npadding = 'valid'", "a kernel of 29 does not fit an input of 28"),
        (CONV + "groups = 3", "3 groups do not divide both 1 channels and 8 filters"),
        (CONV + "[[layers]]\nconv = 6\ngroups = 'depthwise'", r"line 4 \(layer 2\): .*8 groups do not divide both 8 c"),
        (CONV + "padding = 30\npadding_mode = 'reflect'", "reflect padding of 30 does not fit an input of 28; at most 27"),
        (CONV + "padding = 29\npadding_mode = 'circular'", "circular padding of 29 does not fit .* at most 28"),
        (CONV + "[[layers]]\npool = 'max'\nkernel = 4\nrepeat = 3", r"line 4 \(layer 2\): pool on 8x1x1 .*kernel of 4 d"),
        ("[[layers]]\npool = 'max'\npadding = 2", r"a padding of \[2, 2, 2, 2\] lets a window of 2x2 see only padding"),
        ("[[layers]]\npool = 'max'\npadding = [0, 1, 0, 1]\nceil_mode = true", "ceil_mode goes with equal padding"),
        ("[[layers]]\npool = 'max'\ncount_include_pad = true", "count_include_pad is for average pooling"),
        ("[[layers]]\npool = 'average'\ndilation = 2", "dilation for max pooling"),
        ("[[layers]]\npool = 'global_max'\nkernel = 2", "takes all positions at once and has no kernel"),
        ("[[layers]]\ndense = 9\n[[layers]]\nconv = 3", r"line 4 \(layer 2\): conv on 9 features: it needs maps"),
        ("[[layers]]\nflatten = true\n[[layers]]\npool = 'global_max'", r"line 4 .*pool on 784 features: it needs maps"),
        ("[[layers]]\nflatten = true\n[[layers]]\nnorm = 'lrn'", "lrn normalises maps across channels"),
        (BRANCHES, r"my.toml line 4 \(layer 2\): branches on 8x28x28 .*4x28x28 .* and 4x14x14 .* cannot be concat"),
        (BRANCHES.replace("stride = 2", "groups = 3"), r"my.toml line 6 \(layer 2, branch 2, layer 1\): .*3 groups do"),
        (CONV + "[[layers]]\nblock = 'residual'\nwidth = 4\nshortcut = 'A'", r"line 4 .*A cannot narrow 8 channels to 4"),
        (CONV + "[[layers]]\nblock = 'residual'\nwidth = 8\npadding = 'valid'", "8x24x24 .* and 8x28x28 .*cannot be added"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_its_numbers(text: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match):
        read(written(tmp_path, HEAD + text))


def test_files_that_are_no_descriptions(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no description of a network can be read at .*gone.toml: No such file"):
        read(tmp_path / "gone.toml")
    with pytest.raises(InputError, match=r"my.toml is not TOML: .*\(at line 2, column"):
        read(written(tmp_path, "input = [1, 1, 1]\nconv = = 3"))
    (tmp_path / "my.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not a text in UTF-8"):
        read(tmp_path / "my.toml")


def test_without_a_file_the_layer_is_named() -> None:
    with pytest.raises(InputError, match=r"^layer 1: a conv layer has no key 'expanded'"):
        described(10, 1, {"input": [8, 8, 1], "layers": [{"conv": 3, "expanded": 1}]})
    with pytest.raises(InputError, match=r"^the description: a list; expected a table"):
        described(10, 1, [])
    with pytest.raises(InputError, match=r"^layer 1: conv on 1x8x8 .*kernel of 9"):
        described(10, 1, {"input": [8, 8, 1], "layers": [{"conv": 3, "kernel": 9, "padding": "valid"}]})
    with pytest.raises(InputError, match=r"^\[output\]: weights is 3"):
        described(10, 1, {"input": [8, 8, 1], "layers": [{"conv": 3}], "output": {"weights": 3}})
