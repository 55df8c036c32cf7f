"""The network file: what is written comes back; whatever is wrong with a file is said in one error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from glassnet import card as network_file
from glassnet.card import FORMAT, Card, load, load_tensors, read_card, save
from glassnet.errors import NetworkFileError, StorageError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain = st.dictionaries(texts, st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts))


def a_card(**changes: object) -> Card:
    values: dict[str, object] = {"architecture": "lenet5", "classes": ("cat", "dög"), "preprocess": {"height": 28}}
    return Card(**{**values, **changes})  # type: ignore[arg-type]


def a_file(folder: Path) -> Path:
    path = folder / "net.safetensors"
    save(path, {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(7)}, a_card(temperature=1.5))
    return path


@settings(deadline=None)
@given(metrics=plain, classes=st.lists(texts, unique=True), temperature=st.floats(1e-3, 1e3))
def test_a_card_comes_back_from_json(metrics: dict[str, object], classes: list[str], temperature: float) -> None:
    card = a_card(metrics=metrics, classes=tuple(classes), temperature=temperature)
    assert Card.from_json(card.to_json()) == card


def test_numbers_that_json_lacks_become_null() -> None:
    card = a_card(metrics={"auc": float("nan"), "per_class": [1.0, float("inf")]})
    assert Card.from_json(card.to_json()).metrics == {"auc": None, "per_class": [1.0, None]}


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda v: v.update(format=99), rf"card format 99, but this glassnet reads format {FORMAT}"),
        (lambda v: v.pop("format"), "card format None"),
        (lambda v: v.update(colour="red"), "unknown fields: colour"),
        (lambda v: v.pop("classes"), "lacks fields: classes"),
        (lambda v: v.update(classes="cat"), "classes is 'cat', which has the wrong type"),
        (lambda v: v.update(classes=["cat", 3]), "classes are .*, expected names"),
        (lambda v: v.update(temperature=0), "temperature is 0, expected a number above 0"),
    ],
)
def test_a_card_of_another_kind_is_refused(change: object, match: str) -> None:
    values = json.loads(a_card().to_json())
    change(values)  # type: ignore[operator]
    with pytest.raises(NetworkFileError, match=match):
        Card.from_json(json.dumps(values))


@pytest.mark.parametrize("text, match", [("{", "not JSON"), ("[1]", "a list, expected a JSON object")])
def test_text_that_is_no_card_is_refused(text: str, match: str) -> None:
    with pytest.raises(NetworkFileError, match=match):
        Card.from_json(text)


def test_tensors_and_card_come_back(tmp_path: Path) -> None:
    card, tensors = load(a_file(tmp_path))
    assert card.classes == ("cat", "dög")
    assert card.temperature == 1.5
    assert torch.equal(tensors["weight"], torch.arange(6.0).reshape(2, 3))
    assert tensors["count"].item() == 7


def test_strided_and_shared_tensors_are_saved_as_copies(tmp_path: Path) -> None:
    shared = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)
    save(tmp_path / "net.safetensors", {"a": shared, "b": shared, "c": shared[1:]}, a_card())
    _, tensors = load(tmp_path / "net.safetensors")
    assert torch.equal(tensors["a"], shared)
    assert torch.equal(tensors["b"], shared)
    assert torch.equal(tensors["c"], shared[1:])


def test_the_card_is_read_without_torch(tmp_path: Path) -> None:
    program = (
        "import sys; from glassnet.card import read_card; "
        f"print(read_card({str(a_file(tmp_path))!r}).architecture, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.split() == ["lenet5", "False"]


@pytest.mark.parametrize("kept", [0, 4, 8, 100])
def test_a_file_cut_off_in_its_header_is_refused(tmp_path: Path, kept: int) -> None:
    path = a_file(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(NetworkFileError, match=r"empty file|truncated, only|not a safetensors file"):
        load(path)


def test_a_file_cut_off_in_its_tensors_is_refused_by_size(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(NetworkFileError, match="truncated, 27 of 32 bytes"):
        read_card(path)


def test_every_single_cut_is_noticed(tmp_path: Path) -> None:
    whole = a_file(tmp_path).read_bytes()
    cut = tmp_path / "cut.safetensors"
    for kept in range(0, len(whole), 7):
        cut.write_bytes(whole[:kept])
        with pytest.raises(NetworkFileError):
            load(cut)


def test_a_safetensors_file_without_a_card_is_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(2)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(NetworkFileError, match="without a card"):
        load(tmp_path / "other.safetensors")


def test_a_pickle_is_named_as_one(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(2)}, tmp_path / "weights.pth")
    with pytest.raises(NetworkFileError, match="looks like a pickle"):
        load(tmp_path / "weights.pth")


@pytest.mark.parametrize("content", [b"hello, this is just text", b"\xff" * 64, b"\x02" + b"\0" * 7 + b"[]"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.safetensors").write_bytes(content)
    with pytest.raises(NetworkFileError, match="not a safetensors file"):
        load(tmp_path / "net.safetensors")


def test_overlapping_tensors_are_refused(tmp_path: Path) -> None:
    header = {
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
        "__metadata__": {"card": a_card().to_json()},
    }
    text = json.dumps(header).encode()
    (tmp_path / "net.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(12))
    with pytest.raises(NetworkFileError, match="cannot be read"):
        load(tmp_path / "net.safetensors")


@pytest.mark.parametrize("entry", [{}, {"data_offsets": "all"}, 7, {"data_offsets": [0, "x"]}])
def test_a_header_of_nonsense_is_refused(tmp_path: Path, entry: object) -> None:
    text = json.dumps({"a": entry, "__metadata__": {"card": a_card().to_json()}}).encode()
    (tmp_path / "net.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(NetworkFileError, match="not a safetensors file"):
        load(tmp_path / "net.safetensors")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError, match="No such file"):
        load(tmp_path / "none.safetensors")
    with pytest.raises(NetworkFileError, match="Is a directory"):
        load(tmp_path)


def test_tensors_that_do_not_fit_are_listed_and_nothing_is_copied() -> None:
    module = nn.Linear(3, 2)
    before = module.weight.clone()
    with pytest.raises(NetworkFileError, match=r"here: .*missing bias; extra scale; weight has shape \(2, 4\), exp"):
        load_tensors(module, {"weight": torch.zeros(2, 4), "scale": torch.zeros(1)}, "here")
    assert torch.equal(module.weight, before)


def test_a_long_list_of_misfits_is_shortened() -> None:
    with pytest.raises(NetworkFileError, match="and 12 more"):
        load_tensors(nn.Sequential(*(nn.Linear(1, 1) for _ in range(10))), {}, "here")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = a_file(tmp_path)
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        save(path, {"weight": torch.ones(1000)}, a_card())
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208 - names are what is asked


def test_the_fields_checked_are_the_fields_of_a_card() -> None:
    assert set(network_file._KINDS) == set(Card.__dataclass_fields__)
