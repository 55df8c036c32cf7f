"""A network's life: made, saved, loaded, used, given new classes; and every way a file or name can be wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from glassnet import card as network_file
from glassnet.errors import InputError, NetworkFileError, StorageError, UnknownName
from glassnet.models.base import FILE_IN_RUN
from glassnet.models.network import Network, load_network
from glassnet.preprocess import Preprocess

ANIMALS = ("cat", "dog", "emu")


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network.create("lenet5", ANIMALS)


def some_pictures(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 28, 28), dtype=np.uint8)[..., None]


def test_a_fresh_network_knows_itself(network: Network) -> None:
    assert network.classes == ANIMALS
    assert network.num_parameters == 61_706 - 7 * 85  # three classes instead of ten
    assert network.preprocess.channels == 1
    assert network.module.input_size == (1, 28, 28)
    assert network.card.arguments == {"in_channels": 1}
    assert network.trace().parameters == network.num_parameters


def test_save_and_load_give_the_same_network(network: Network, tmp_path: Path) -> None:
    network.card.temperature = 1.7
    network.save(tmp_path / "net.safetensors")
    loaded = Network.load(tmp_path / "net.safetensors")
    assert loaded.card == network.card
    assert loaded.preprocess == network.preprocess
    old, new = network.module.state_dict(), loaded.module.state_dict()
    assert all(torch.equal(old[name], new[name]) for name in old)
    assert loaded.predict(some_pictures()) == network.predict(some_pictures())


def test_arguments_and_preprocess_travel_in_the_file(tmp_path: Path) -> None:
    preprocess = Preprocess(height=40, width=48, channels=2, resize="squash", crop=1.0)
    network = Network.create("mobilenet_v2", ANIMALS, preprocess=preprocess, width=0.25)
    network.save(tmp_path / "net.safetensors")
    loaded = Network.load(tmp_path / "net.safetensors")
    assert loaded.card.arguments == {"width": 0.25, "in_channels": 2}
    assert loaded.preprocess == preprocess
    assert loaded.module.input_size == (2, 40, 48)


def test_loading_draws_no_random_number(network: Network, tmp_path: Path) -> None:
    network.save(tmp_path / "net.safetensors")
    before = torch.get_rng_state()
    Network.load(tmp_path / "net.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


def test_channels_last_weights_come_back(tmp_path: Path) -> None:
    network = Network.create("lenet5", ANIMALS, in_channels=3)
    network.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.save(tmp_path / "net.safetensors")
    loaded = Network.load(tmp_path / "net.safetensors").module
    weight = network.module.get_parameter("body.stage1.conv.weight")
    assert torch.equal(loaded.get_parameter("body.stage1.conv.weight"), weight)


@pytest.mark.parametrize(
    "classes, match",
    [
        ((), "classes is empty"),
        ("cat", "classes is 'cat'; expected a sequence"),
        (("a", "b", "a"), "more than once: a"),
        (("a", ""), "expected a sequence of names"),
        ((1, 2), "expected a sequence of names"),
    ],
)
def test_class_names_are_checked(classes: tuple[str, ...], match: str) -> None:
    with pytest.raises(InputError, match=match):
        Network.create("lenet5", classes)


def test_channels_and_preprocess_must_agree() -> None:
    with pytest.raises(InputError, match="in_channels is 3, but the preprocess makes 1 channels"):
        Network.create("lenet5", ANIMALS, in_channels=3, preprocess=Preprocess(channels=1))


def test_predictions_are_the_softmax_of_the_logits(network: Network) -> None:
    network.card.temperature = 2.0
    pictures = some_pictures()
    images = network.preprocess.finish(torch.from_numpy(pictures))
    expected = (network.logits(images, device="cpu") / 2).softmax(1)
    for row, prediction in zip(expected.tolist(), network.predict(pictures, batch_size=2), strict=True):
        assert dict(prediction.top) == pytest.approx(dict(zip(ANIMALS, row, strict=True)), abs=1e-5)


def test_a_path_its_bytes_and_its_pixels_are_one_picture(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(1).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    with Image.open(path) as unread:
        predictions = network.predict([path, str(path), path.read_bytes(), unread, pixels])
    assert len({prediction.top for prediction in predictions}) == 1
    assert [prediction.path for prediction in predictions] == [str(path), str(path), None, None, None]


def test_predicting_leaves_the_module_as_it_was() -> None:
    network = Network.create("mobilenet_v2", ANIMALS, width=0.25, in_channels=1)
    network.module.train()
    before = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    network.predict(some_pictures())
    assert all(module.training for module in network.module.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.module.state_dict().items())


def test_changed_weights_are_noticed(network: Network) -> None:
    before = network.predict(some_pictures())
    assert network.predictor("cpu") is network.predictor("cpu")
    with torch.no_grad():
        network.module.head.bias += torch.tensor([0.0, 0.0, 50.0])
    assert network.predict(some_pictures()) != before
    assert network.predict(some_pictures())[0].label == "emu"
    network.module.load_state_dict({key: torch.zeros_like(t) for key, t in network.module.state_dict().items()})
    assert network.predict(some_pictures())[0].probability == pytest.approx(1 / 3)


def test_a_network_made_in_inference_mode_predicts(tmp_path: Path, network: Network) -> None:
    network.save(tmp_path / "net.safetensors")
    with torch.inference_mode():
        loaded = Network.load(tmp_path / "net.safetensors")
    assert loaded.predict(some_pictures()) == network.predict(some_pictures())


def test_test_time_augmentation_sees_the_mirror_image(network: Network) -> None:
    picture = some_pictures(1)[0]
    plain, mirrored = network.predict([picture, picture[:, ::-1]])
    assert plain.top != mirrored.top
    averaged, same = network.predict([picture, picture[:, ::-1]], tta=True)
    assert dict(averaged.top) == pytest.approx(dict(same.top), abs=1e-6)


def test_a_predictor_of_ones_own_takes_the_networks_place(network: Network) -> None:
    def always_dog(images: torch.Tensor) -> torch.Tensor:
        assert images.shape[1:] == (1, 28, 28)
        assert images.dtype == torch.float32
        return torch.tensor([[0.0, 9.0, 0.0]]).expand(len(images), 3)

    assert {prediction.label for prediction in network.predict(some_pictures(), predictor=always_dog)} == {"dog"}


def test_options_are_checked_before_the_first_picture(network: Network) -> None:
    with pytest.raises(InputError, match="top is 0"):
        network.stream(["a.png"], top=0)


def test_new_classes_get_a_new_head_and_the_old_body(network: Network) -> None:
    tuned = network.for_classes(("oak", "elm"), parent="runs/animals")
    assert tuned.classes == ("oak", "elm")
    assert tuned.card.parent == "runs/animals"
    assert tuned.module.head.out_features == 2
    body = network.module.body.state_dict()
    assert all(torch.equal(body[name], tensor) for name, tensor in tuned.module.body.state_dict().items())
    with torch.no_grad():
        tuned.module.body.get_parameter("dense1.linear.weight").zero_()
    assert network.module.body.get_parameter("dense1.linear.weight").any(), "the copy shares memory with the original"


def test_the_same_classes_keep_the_head(network: Network) -> None:
    tuned = network.for_classes(list(ANIMALS))
    assert torch.equal(tuned.module.head.weight, network.module.head.weight)


def test_a_run_a_file_and_a_name_are_all_networks(network: Network, tmp_path: Path) -> None:
    network.save(tmp_path / FILE_IN_RUN)
    assert load_network(tmp_path).classes == ANIMALS
    assert load_network(str(tmp_path / FILE_IN_RUN)).classes == ANIMALS


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError, match=r"has no network\.safetensors: it is not a run"):
        load_network(tmp_path)
    with pytest.raises(NetworkFileError, match="No such file"):
        load_network(tmp_path / "none.safetensors")
    with pytest.raises(UnknownName, match="no run, network file or registered network is called 'resnet9'; nearest: "):
        load_network("resnet9")
    with pytest.raises(InputError, match="'lenet5' is a registered network that has learnt nothing yet; train it"):
        load_network("lenet5")
    with pytest.raises(InputError, match="learnt nothing yet; use pretrained weights"):
        load_network("efficientnet_lite0")
    with pytest.raises(InputError, match="lenet5 has no pretrained weights"):
        load_network("lenet5", pretrained=True)
    (tmp_path / "net.safetensors").touch()
    with pytest.raises(InputError, match="pretrained is for a registered network"):
        load_network(tmp_path / "net.safetensors", pretrained=True)


@pytest.mark.parametrize(
    "change, match",
    [
        ({"architecture": "resnet9000"}, "does not describe a network: no network is called 'resnet9000'"),
        ({"arguments": {"depth": 3}}, "does not describe a network: lenet5 takes no argument 'depth'"),
        ({"arguments": {"classes": 3}}, "does not describe a network"),
        ({"preprocess": {"height": -1}}, "does not describe a network: height is -1"),
        ({"preprocess": {"hight": 28}}, "does not describe a network: no preprocess field is called 'hight'"),
        ({"task": "detection"}, "a network for 'detection'"),
        ({"classes": ("cat",)}, r"head.weight has shape \(3, 84\), expected \(1, 84\)"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    network: Network, tmp_path: Path, change: dict[str, object], match: str
) -> None:
    card = dataclasses.replace(network.card, **change)  # type: ignore[arg-type]
    network_file.save(tmp_path / "net.safetensors", network.module.state_dict(), card)
    with pytest.raises(NetworkFileError, match=match):
        Network.load(tmp_path / "net.safetensors")


def test_missing_and_extra_tensors_are_named(network: Network, tmp_path: Path) -> None:
    tensors = network.module.state_dict()
    del tensors["head.bias"]
    network_file.save(tmp_path / "net.safetensors", {**tensors, "scale": torch.ones(1)}, network.card)
    with pytest.raises(NetworkFileError, match=r"missing head.bias; extra scale"):
        Network.load(tmp_path / "net.safetensors")


def test_a_place_that_takes_no_file_is_a_storage_error(network: Network, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="its folder does not exist"):
        network.save(tmp_path / "no" / "such" / "net.safetensors")
