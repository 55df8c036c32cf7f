"""The network opened: outputs kept and replaced, gradients cut, and the network itself untouched."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from glassnet.errors import InputError, UnknownName
from glassnet.explain.inside import Inside
from glassnet.models import Network, create, names


def hooked(module: nn.Module, images: torch.Tensor, path: str) -> torch.Tensor:
    """Return what a forward hook sees of the submodule at `path`: an independent reading of one layer."""
    seen: list[torch.Tensor] = []
    handle = module.get_submodule(path).register_forward_hook(lambda _m, _i, output: seen.append(output.clone()))
    with torch.no_grad():
        module(images)
    handle.remove()
    return seen[0]


def test_playing_gives_the_networks_logits_and_what_each_layer_computed(awkward: nn.Module) -> None:
    images = torch.randn(2, 3, 16, 16)
    inside = Inside(awkward, (3, 16, 16))
    names = [layer.name for layer in inside.trace]
    playing = inside.play(images, keep=names)
    awkward.eval()
    torch.testing.assert_close(playing.logits, awkward(images).detach())
    for path in ("conv1", "conv2", "norm", "conv3"):  # all but the last are written over by what follows
        torch.testing.assert_close(playing.kept[path], hooked(awkward, images, path))
    x = torch.relu(playing.kept["conv1"])
    y = torch.relu(playing.kept["norm"] + x)
    torch.testing.assert_close(playing.kept["cat"], torch.cat([x, y], 1))
    assert playing.kept["conv1"].min() < 0
    assert playing.kept["norm"].min() < 0


def test_what_is_not_kept_is_not_kept(awkward: nn.Module) -> None:
    playing = Inside(awkward, (3, 16, 16)).play(torch.randn(1, 3, 16, 16), keep=["conv2"])
    assert set(playing.kept) == {"conv2"}


def test_the_callers_pictures_are_not_written_over() -> None:
    module = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(1, 1, 1), nn.ReLU(inplace=True))
    images = torch.full((1, 1, 4, 4), -1.0)
    Inside(module, (1, 4, 4)).play(images)
    assert (images == -1).all()


def test_a_view_of_a_kept_output_is_not_written_over() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.ReLU(inplace=True))
    images = torch.randn(1, 1, 4, 4)
    playing = Inside(module, (1, 4, 4)).play(images, keep=["0"])
    torch.testing.assert_close(playing.kept["0"], module[0](images).detach())
    assert playing.kept["0"].min() < 0


def test_gradients_at_a_leaf_are_autograds(awkward: nn.Module) -> None:
    images = torch.randn(2, 3, 16, 16)
    playing = Inside(awkward, (3, 16, 16)).play(images, leaves=["conv2"])
    assert playing.logits is not None
    (gradient,) = torch.autograd.grad(playing.logits[:, 1].sum(), playing.kept["conv2"])
    awkward.eval()
    seen: list[torch.Tensor] = []
    awkward.get_submodule("conv2").register_forward_hook(lambda _m, _i, out: (out.retain_grad(), seen.append(out))[0])
    awkward(images)[:, 1].sum().backward()
    torch.testing.assert_close(gradient, seen[0].grad)


def test_a_given_output_takes_the_place_of_a_layers(awkward: nn.Module) -> None:
    inside, images = Inside(awkward, (3, 16, 16)), torch.randn(2, 3, 16, 16)
    kept = inside.play(images, keep=["conv3"]).kept["conv3"]
    other = inside.play(torch.randn(2, 3, 16, 16), given={"conv3": kept}).logits
    torch.testing.assert_close(other, inside.play(images).logits)


def test_playing_stops_where_it_is_told(awkward: nn.Module) -> None:
    inside = Inside(awkward, (3, 16, 16))
    playing = inside.play(torch.randn(1, 3, 16, 16), keep=["conv2"], until="conv2")
    assert playing.logits is None
    assert playing.kept["conv2"].shape == (1, 8, 16, 16)


def test_a_rule_computes_a_node_in_another_way(awkward: nn.Module) -> None:
    inside, images = Inside(awkward, (3, 16, 16)), torch.randn(1, 3, 16, 16)
    seen = []

    def rule(module: nn.Module | None, function: str, call: object) -> object:
        if isinstance(module, nn.ReLU) or function == "relu":
            seen.append(function)
            return lambda x: x
        return call

    linear = inside.play(images, rule=rule).logits
    assert len(seen) == 3
    assert not torch.allclose(linear, inside.play(images).logits)


def test_nothing_of_the_network_changes(awkward: nn.Module) -> None:
    awkward.train()
    awkward.get_submodule("conv2").eval()
    awkward.get_submodule("conv1").requires_grad_(False)
    calls: list[int] = []
    awkward.get_submodule("conv1").register_forward_hook(lambda *_: calls.append(1))
    before = {name: tensor.clone() for name, tensor in awkward.state_dict().items()}
    pointers = [tensor.data_ptr() for tensor in awkward.state_dict().values()]
    modes = [module.training for module in awkward.modules()]
    needs = [parameter.requires_grad for parameter in awkward.parameters()]
    hooks = [dict(module._forward_hooks) for module in awkward.modules()]
    state = torch.get_rng_state()
    inside = Inside(awkward, (3, 16, 16))
    playing = inside.play(torch.ones(1, 3, 16, 16), leaves=["conv1"])
    playing.logits.sum().backward()
    assert torch.equal(torch.get_rng_state(), state)
    assert not calls, "a user's hook was called"
    assert hooks == [dict(module._forward_hooks) for module in awkward.modules()]
    assert modes == [module.training for module in awkward.modules()]
    assert needs == [parameter.requires_grad for parameter in awkward.parameters()]
    assert all(parameter.grad is None for parameter in awkward.parameters())
    assert pointers == [tensor.data_ptr() for tensor in awkward.state_dict().values()]
    assert all(torch.equal(before[name], tensor) for name, tensor in awkward.state_dict().items())


def test_a_layer_is_found_by_its_name_or_its_stage(small_network: Network) -> None:
    inside = Inside.of(small_network)
    stages = {layer.name.split(".")[1] for layer in inside.trace if layer.name.startswith("body.")}
    stage = sorted(stages)[0]
    assert inside.layer(stage).name.startswith(f"body.{stage}")
    first = inside.trace.layers[0].name
    assert inside.layer(first.removeprefix("body.")).name == first == inside.layer(first).name


def test_an_unknown_layer_gets_the_nearest_names(small_network: Network) -> None:
    inside = Inside.of(small_network)
    with pytest.raises(UnknownName, match=r"no layer is called 'satge1'; nearest: .*stage1"):
        inside.layer("satge1")
    with pytest.raises(InputError, match="no layer's full name"):
        inside.play(torch.zeros(1, 3, 32, 32), keep=["nothing"])


@pytest.mark.parametrize(
    "name", [n for n in names() if n in ("lenet5_1998", "squeezenet1_0", "mobilenet_v2", "googlenet", "nin_cifar")]
)
def test_playing_gives_the_logits_of_registered_networks(name: str) -> None:
    torch.manual_seed(0)
    module = create(name, classes=10, in_channels=1 if name.startswith("lenet") else None).eval()
    images = torch.randn(1, *module.input_size)
    whole = copy.deepcopy(module)
    with torch.no_grad():
        torch.testing.assert_close(Inside(module, module.input_size).play(images).logits, whole(images))
