"""Layouts: each foreign tensor has one place in our network, and back; what does not fit is listed; nothing runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from glassnet.errors import InputError, NetworkFileError, StorageError, UnknownName
from glassnet.models import load_network
from glassnet.models.exchange import export_network, import_network
from glassnet.models.foreign import Layout, read_tensors, write_tensors
from glassnet.models.layouts import LAYOUTS, layout, layouts
from glassnet.models.network import Network
from glassnet.models.pretrained import imagenet_classes
from glassnet.models.registry import Classifier, create

LARGE = 200_000  # values: of a larger tensor only one row is random, which costs no memory
CATS = {281, 282, 285}  # tabby, tiger cat, Egyptian cat


def on_paper(chosen: Layout, **arguments: object) -> Classifier:
    """The layout's network without memory."""
    with torch.device("meta"):
        return create(chosen.network, **chosen.with_presupposed(arguments))


def random_state(chosen: Layout, network: Classifier, seed: int = 0) -> dict[str, Tensor]:
    """A state dict of theirs with random values, whole numbers where theirs are."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, tensor in chosen.to_theirs(network).items():
        shape = tensor.shape if tensor.numel() <= LARGE else (1, *tensor.shape[1:])
        if tensor.dtype == torch.int64:
            state[name] = torch.randint(0, 1000, shape, generator=generator)
        else:
            state[name] = torch.randn(shape, generator=generator).expand(tensor.shape)
    return state


def every_form() -> list[object]:
    forms = [(chosen, form) for chosen in LAYOUTS for form in chosen.forms]
    return [pytest.param(*pair, id=f"{pair[0].network}-{pair[0].name}-{pair[1]}") for pair in forms]


@pytest.mark.parametrize("chosen, form", every_form())
def test_theirs_to_ours_and_back_is_bit_equal(chosen: Layout, form: dict[str, object]) -> None:
    network = on_paper(chosen, **form)
    theirs = random_state(chosen, network)
    ours = chosen.to_ours(network, theirs, "state")
    assert {name: tensor.shape for name, tensor in ours.items()} == {
        name: tensor.shape for name, tensor in network.state_dict().items()
    }
    network.load_state_dict(ours, assign=True)
    back = chosen.to_theirs(network)
    assert list(back) != list(ours)
    assert back.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert back[name].dtype == tensor.dtype
        assert back[name].shape == tensor.shape
        repeats = tensor.ndim > 0 and tensor.stride(0) == 0  # a large one, of which one row says all
        assert torch.equal(back[name][:1], tensor[:1]) if repeats else torch.equal(back[name], tensor), name


def test_a_network_has_one_layout_of_each_name() -> None:
    assert len({(chosen.network, chosen.name) for chosen in LAYOUTS}) == len(LAYOUTS)
    assert [chosen.name for chosen in layouts("efficientnet_lite0")] == ["package", "timm_tf", "timm"]
    assert layouts("lenet5") == ()
    with pytest.raises(UnknownName, match=r"layout of resnet18 is called 'torchvison'; nearest: torchvision"):
        layout("resnet18", "torchvison")
    with pytest.raises(InputError, match=r"no foreign layout of lenet5 is known; those with one: .*resnet18"):
        layout("lenet5", "torchvision")


def test_blue_first_by_hand() -> None:
    chosen = layout("squeezenet1_0", "caffe")
    network = on_paper(chosen)
    theirs = random_state(chosen, network)
    ours = chosen.to_ours(network, theirs, "npz")
    assert torch.equal(ours["body.conv1.conv.weight"][:, 0], theirs["conv1.w"][:, 2])  # red came last
    assert torch.equal(ours["body.conv1.conv.weight"][:, 1], theirs["conv1.w"][:, 1])
    # Bytes minus (123, 117, 104), in RGB, are exactly what the preprocess makes of them.
    pixels = torch.tensor([[0, 128, 255], [200, 117, 3]], dtype=torch.uint8).repeat(1, 227, 114, 1)[:, :, :227]
    finished = chosen.preprocess.finish(pixels.reshape(1, 227, 227, 3))
    expected = pixels.reshape(1, 227, 227, 3).float() - torch.tensor([123.0, 117.0, 104.0])
    torch.testing.assert_close(finished, expected.permute(0, 3, 1, 2), rtol=0, atol=2e-5)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """A state dict in torchvision's layout of ResNet-18 for 1000 classes."""
    chosen = layout("resnet18", "torchvision")
    return {name: tensor.contiguous() for name, tensor in random_state(chosen, on_paper(chosen)).items()}


@pytest.fixture(scope="module")
def small() -> dict[str, Tensor]:
    """One of SqueezeNet 1.1 for five classes."""
    chosen = layout("squeezenet1_1", "torchvision")
    with torch.device("meta"):
        network = create("squeezenet1_1", classes=5)
    return random_state(chosen, network)


FIVE = ("a", "b", "c", "d", "e")


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors", ".npz"])
def test_a_file_comes_back_bit_equal(small: dict[str, Tensor], tmp_path: Path, suffix: str) -> None:
    write_tensors(tmp_path / f"in{suffix}", small)
    network = import_network(tmp_path / f"in{suffix}", "squeezenet1_1", classes=FIVE)
    assert network.classes == FIVE  # the number of classes was read from the head
    network.save(tmp_path / "net.safetensors")
    saved = Network.load(tmp_path / "net.safetensors")
    export_network(saved, tmp_path / f"out{suffix}", "torchvision")
    back = read_tensors(tmp_path / f"out{suffix}")
    assert back.keys() == small.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in small.items())
    assert "torchvision" in (saved.card.parent or "")


def test_old_files_without_counters_and_in_the_old_format(state: dict[str, Tensor], tmp_path: Path) -> None:
    old = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert len(old) < len(state)
    torch.save({"state_dict": old, "epoch": 90}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    network = import_network(tmp_path / "old.pth", "resnet18")
    assert network.classes == imagenet_classes()
    assert torch.equal(network.module.state_dict()["head.weight"], state["fc.weight"])
    assert network.module.state_dict()["body.stem.conv.norm.num_batches_tracked"] == 0


def test_what_is_missing_extra_or_misshapen_is_listed_by_their_names(state: dict[str, Tensor], tmp_path: Path) -> None:
    bad = dict(state) | {"fc.scale": torch.ones(3), "conv1.weight": torch.ones(64, 3, 3, 3)}
    del bad["layer4.1.bn2.running_var"]
    torch.save(bad, tmp_path / "bad.pth")
    with pytest.raises(NetworkFileError) as raised:
        import_network(tmp_path / "bad.pth", "resnet18")
    for complaint in (
        "missing layer4.1.bn2.running_var",
        "extra fc.scale",
        "conv1.weight has shape (64, 3, 3, 3), expected (64, 3, 7, 7)",
    ):
        assert complaint in str(raised.value)
    with pytest.raises(NetworkFileError, match=r"missing features.0.weight; .* and \d+ more"):
        import_network(tmp_path / "bad.pth", "alexnet")


class Trap:
    """Would run code when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (Path("trapped"),))


@pytest.mark.parametrize("old", [False, True])
def test_an_enemys_pickle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": Trap()}, "trap.pth", _use_new_zipfile_serialization=not old)
    with pytest.raises(NetworkFileError, match=r"^trap.pth: holds more than tensors, and is not read because"):
        import_network("trap.pth", "resnet18")
    np.savez("trap.npz", **{"conv1.w": np.array([Trap()], dtype=object)})
    with pytest.raises(NetworkFileError, match="the weights cannot be read"):
        import_network("trap.npz", "squeezenet1_0")
    assert not Path("trapped").exists()


def test_files_that_hold_no_state_dict(tmp_path: Path) -> None:
    for name, value, match in (
        ("list.pth", [torch.ones(1)], "holds a list; expected a dict of tensors"),
        ("epoch.pth", {"conv1.weight": torch.ones(1), "epoch": 3}, "'epoch' is a int; expected nothing but tensors"),
    ):
        torch.save(value, tmp_path / name)
        with pytest.raises(NetworkFileError, match=match):
            read_tensors(tmp_path / name)
    for text in ("hello", ""):
        (tmp_path / "text.pth").write_text(text)
        with pytest.raises(NetworkFileError, match=r"is no file of weights; expected .pth, .safetensors or .npz"):
            read_tensors(tmp_path / "text.pth")
    for name in ("cut.pth", "cut.safetensors", "cut.npz"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 and no more")
        with pytest.raises(NetworkFileError, match="the weights cannot be read"):
            read_tensors(tmp_path / name)
    with pytest.raises(NetworkFileError, match="no file with weights at"):
        read_tensors(tmp_path / "none.pth")


def test_our_own_network_file_needs_no_import(tmp_path: Path) -> None:
    Network.create("lenet5", FIVE).save(tmp_path / "net.safetensors")
    with pytest.raises(NetworkFileError, match="is a network file of glassnet already; use it as it is"):
        import_network(tmp_path / "net.safetensors", "lenet5")


def test_classes_that_are_not_the_heads(small: dict[str, Tensor], tmp_path: Path) -> None:
    write_tensors(tmp_path / "five.pth", small)
    with pytest.raises(InputError, match=r"the head has 5 classes; name them \(--classes FILE"):
        import_network(tmp_path / "five.pth", "squeezenet1_1")
    with pytest.raises(InputError, match="2 class names came, but the head has 5 classes"):
        import_network(tmp_path / "five.pth", "squeezenet1_1", classes=["a", "b"])


def test_two_layouts_of_the_same_names_must_be_told_apart(tmp_path: Path) -> None:
    chosen = layout("efficientnet_lite0", "timm")
    write_tensors(tmp_path / "lite.pth", random_state(chosen, on_paper(chosen)))
    with pytest.raises(InputError, match=r"fit more than one layout; say which, with --layout \(timm_tf: .*; timm: "):
        import_network(tmp_path / "lite.pth", "efficientnet_lite0")
    half = import_network(tmp_path / "lite.pth", "efficientnet_lite0", layout="timm")
    assert half.card.arguments == {"padding": "half", "epsilon": 1e-5, "in_channels": 3}
    assert half.module.body.get_submodule("stem.norm").eps == 1e-5
    assert half.preprocess.mean == (0.485, 0.456, 0.406)
    same = import_network(tmp_path / "lite.pth", "efficientnet_lite0", layout="timm_tf")
    assert same.card.arguments == {"in_channels": 3}
    assert same.preprocess.mean == (0.5, 0.5, 0.5)
    with pytest.raises(InputError, match="layout 'timm_tf' of efficientnet_lite0 presupposes padding='same', but"):
        export_network(half, tmp_path / "out.pth", "timm_tf")
    export_network(half, tmp_path / "out.pth", "timm")
    export_network(same, tmp_path / "out.pth", "package")
    with pytest.raises(InputError, match=r"presupposes epsilon=1e-05, but epsilon=0\.1 was asked for"):
        import_network(
            tmp_path / "lite.pth", "efficientnet_lite0", layout="timm", arguments={"epsilon": 0.1, "padding": "half"}
        )


def test_googlenet_with_and_without_its_auxiliary_heads(tmp_path: Path) -> None:
    chosen = layout("googlenet_bn", "torchvision")
    for auxiliary in (True, False):
        theirs = random_state(chosen, on_paper(chosen, auxiliary=auxiliary))
        assert ("aux1.fc1.weight" in theirs) == auxiliary
        write_tensors(tmp_path / "google.safetensors", theirs)
        network = import_network(tmp_path / "google.safetensors", "googlenet_bn")
        assert hasattr(network.module, "auxiliary") == auxiliary
        assert network.preprocess.mean == (0.5, 0.5, 0.5)  # transform_input, said by the preprocess
    plain = import_network(tmp_path / "google.safetensors", "googlenet_bn", layout="torchvision_plain")
    assert plain.preprocess.mean == (0.485, 0.456, 0.406)


def test_widths_go_in_and_out(tmp_path: Path) -> None:
    chosen = layout("mobilenet_v2", "torchvision")
    theirs = random_state(chosen, on_paper(chosen, width=0.35))
    write_tensors(tmp_path / "narrow.pth", theirs)
    with pytest.raises(
        NetworkFileError, match=r"features.0.0.weight has shape \(16, 3, 3, 3\), expected \(32, 3, 3, 3\)"
    ):
        import_network(tmp_path / "narrow.pth", "mobilenet_v2")
    network = import_network(tmp_path / "narrow.pth", "mobilenet_v2", arguments={"width": 0.35})
    export_network(network, tmp_path / "out.safetensors", "torchvision")
    back = read_tensors(tmp_path / "out.safetensors")
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)


def test_grey_weights_go_in_and_out(tmp_path: Path) -> None:
    grey = Network.create("squeezenet1_1", FIVE, in_channels=1)
    export_network(grey, tmp_path / "grey.pth", "torchvision")
    network = import_network(tmp_path / "grey.pth", "squeezenet1_1", classes=FIVE, arguments={"in_channels": 1})
    network.save(tmp_path / "net.safetensors")
    assert Network.load(tmp_path / "net.safetensors").preprocess.channels == 1
    with pytest.raises(InputError, match="how many classes there are is read from the file's head"):
        import_network(tmp_path / "grey.pth", "squeezenet1_1", arguments={"classes": 5})


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    network = Network.create("resnet18", FIVE, stem="small")
    with pytest.raises(InputError, match="presupposes stem='imagenet', but stem='small'"):
        export_network(network, tmp_path / "x.pth", "torchvision")
    network = Network.create("squeezenet1_1", FIVE)
    with pytest.raises(InputError, match=r"expected a name that ends in .pth, .safetensors or .npz"):
        export_network(network, tmp_path / "x.bin", "torchvision")
    with pytest.raises(StorageError, match="its folder does not exist"):
        export_network(network, tmp_path / "no" / "x.pth", "torchvision")


def test_the_border_of_caffes_squeezenet_by_hand() -> None:
    torch.manual_seed(0)
    network = create("squeezenet1_0", classes=4, border=1).eval()
    torch.nn.init.normal_(network.head.weight)
    torch.nn.init.normal_(network.head.bias)
    plain = create("squeezenet1_0", classes=4).eval()
    plain.load_state_dict(network.state_dict())
    picture = torch.randn(1, 3, 227, 227)
    with torch.no_grad():
        inside, frame = 13 * 13 * plain(picture), (15 * 15 - 13 * 13) * network.head.bias.relu()
        torch.testing.assert_close(network(picture), (inside + frame) / (15 * 15), rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="border is 1; expected 0 or more, and 0 where the scores are not rectified"):
        create("squeezenet1_0", rectify=False, border=1)
    mine = Network.create("squeezenet1_0", FIVE, border=1).for_classes(["x", "y"])
    assert mine.card.arguments == {"border": 0, "rectify": False, "in_channels": 3}


def test_squeezenet_of_2016_knows_a_cat(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "squeezenet_v1.0.npz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    data = pytest.importorskip("skimage.data", reason="scikit-image holds the photograph")
    import_network(path, "squeezenet1_0").save(tmp_path / "squeezenet.safetensors")
    network = load_network(tmp_path / "squeezenet.safetensors")
    assert network.card.arguments == {"border": 1, "in_channels": 3}
    (prediction,) = network.predict(data.chelsea())
    assert imagenet_classes().index(str(prediction.label)) in CATS
    export_network(network, tmp_path / "back.npz", "caffe")
    with np.load(path) as before, np.load(tmp_path / "back.npz") as after:
        assert sorted(before.files) == sorted(after.files)
        assert all(np.array_equal(before[name], after[name]) for name in before.files)
