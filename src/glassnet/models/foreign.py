"""Weights that others trained: each tensor of their file has exactly one place in our network, and back.

A layout pairs the parts of one of our networks with the names that somebody else's files give them. What the names do
not say belongs to it as well: how a network must be built for those numbers to mean the same (padding, the eps of its
batch norms) and what pixels they were trained on. A tensor that is missing, left over or of another shape is an error.

Files are read as tensors alone. A `.pth` is a pickle and is opened with `weights_only=True`, which runs no code.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from glassnet.card import check_fit
from glassnet.errors import InputError, NetworkFileError
from glassnet.files import atomic_path
from glassnet.models.registry import IMAGENET_224, Classifier, entry
from glassnet.preprocess import Preprocess

Pairs = Iterator[tuple[str, str]]
"""(our module, their module), for each module that holds tensors of its own."""

COUNTER = "num_batches_tracked"
"""What a batch norm counts; files older than the counter lack it, and it plays no part in the outputs."""

_UNREADABLE = (OSError, RuntimeError, EOFError, ValueError, TypeError, KeyError, SafetensorError, zipfile.BadZipFile)
_WRAPPERS = ("state_dict", "model")  # under which a checkpoint keeps its weights


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How somebody else's files name and shape the tensors of `network`, and what those tensors presuppose.

    pairs: walks a network of ours. arguments: what the network must be built with. forms: further arguments, of which
    the names in a file decide. preprocess: the usual one. by_name_only: it has the names of another layout, which is
    the one that is meant where none is named.
    leaves: how the tensors inside a module are called (weight -> w). dense: our dense layers that are 1x1 convolutions
    in the file. blue_first: our layer that sees the picture, where their pictures are BGR; its input channels are
    turned round, so that ours are RGB and the outputs the same.
    """

    name: str
    network: str
    about: str
    pairs: Callable[[Classifier], Pairs]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    forms: tuple[Mapping[str, Any], ...] = ({},)
    preprocess: Preprocess = IMAGENET_224
    by_name_only: bool = False
    leaves: Mapping[str, str] = field(default_factory=dict)
    dense: tuple[str, ...] = ()
    blue_first: str | None = None

    def names(self, network: Classifier) -> dict[str, str]:
        """Return our name -> their name of every tensor of `network`, each of both once."""
        modules = dict(self.pairs(network))
        names = {}
        for ours in network.state_dict():
            module, _, leaf = ours.rpartition(".")
            names[ours] = f"{modules[module]}.{self.leaves.get(leaf, leaf)}"
        assert len(set(names.values())) == len(names), f"the layout {self.name} has one name for two tensors"
        return names

    def to_ours(self, network: Classifier, tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
        """Return `tensors` of theirs under our names, as `network.load_state_dict` takes them.

        Raises `NetworkFileError` that names `where` and lists, by their names, what is missing, extra or mis-shaped.
        """
        names, state = self.names(network), network.state_dict()
        absent = [names[ours] for ours in names if ours.endswith(COUNTER) and names[ours] not in tensors]
        found = {**tensors, **{name: torch.zeros((), dtype=torch.int64) for name in absent}}
        expected = {theirs: tuple(self._turned(ours, state[ours]).shape) for ours, theirs in names.items()}
        check_fit(expected, found, where)
        return {ours: self._turned(ours, found[theirs]).reshape(state[ours].shape) for ours, theirs in names.items()}

    def to_theirs(self, network: Classifier) -> dict[str, Tensor]:
        """Return the tensors of `network` as their files hold them."""
        state = network.state_dict()
        return {theirs: self._turned(ours, state[ours]) for ours, theirs in self.names(network).items()}

    def classes(self, network: Classifier, tensors: Mapping[str, Tensor]) -> int | None:
        """Return for how many classes the file's head is, None where it has none."""
        head = tensors.get(self.names(network)["head.weight"])
        return None if head is None or head.ndim == 0 else len(head)

    def with_presupposed(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return `arguments` of the network with those that the tensors presuppose, where they are not the default.

        Raises `InputError` where one of `arguments` contradicts them.
        """
        usual = entry(self.network).arguments
        for name, needed in self.arguments.items():
            if arguments.get(name, needed) != needed:
                raise InputError(
                    f"the layout {self.name!r} of {self.network} presupposes {name}={needed!r}, "
                    f"but {name}={arguments[name]!r} was asked for"
                )
        return {**{name: needed for name, needed in self.arguments.items() if needed != usual[name]}, **arguments}

    def check_built(self, arguments: Mapping[str, Any]) -> None:
        """Raise `InputError` unless a network built with `arguments` is what the tensors presuppose."""
        self.with_presupposed(entry(self.network).arguments | dict(arguments))

    def _turned(self, ours: str, tensor: Tensor) -> Tensor:
        """Return a tensor of ours in their form; turning the channels round is its own inverse and serves both ways."""
        module, _, leaf = ours.rpartition(".")
        if leaf == "weight" and module == self.blue_first:
            return tensor.flip(1)
        if leaf == "weight" and module in self.dense and tensor.ndim == 2:
            return tensor[:, :, None, None]  # (K, D) -> (K, D, 1, 1)
        return tensor


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a `.pth`, `.pt`, `.safetensors` or `.npz` file, under the names they have there.

    Of a checkpoint, what it keeps under `state_dict` or `model` is returned. Raises `NetworkFileError` for a file that
    is missing, damaged, or holds anything that is not a tensor.
    """
    path = Path(path)
    if not path.is_file():
        raise NetworkFileError(f"no file with weights at {str(path)!r}; check the path")
    _check_kind(path)
    try:
        found = _read(path)
    except UnpicklingError as error:
        reason = "holds more than tensors, and is not read because it could run code"
        raise NetworkFileError(f"{path}: {reason}") from error
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise NetworkFileError(f"{path}: the weights cannot be read ({reason}); copy or download them again") from error
    for wrapper in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping):
        raise NetworkFileError(f"{path}: holds a {type(found).__name__}; expected a dict of tensors (a state dict)")
    for name, tensor in found.items():
        if not isinstance(tensor, Tensor):
            raise NetworkFileError(f"{path}: {name!r} is a {type(tensor).__name__}; expected nothing but tensors")
    return {str(name): tensor for name, tensor in found.items()}


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            if "card" in (file.metadata() or {}):
                raise NetworkFileError(f"{path}: is a network file of glassnet already; use it as it is")
        return load_file(path)
    if path.suffix == ".npz":
        with (
            path.open("rb") as file,
            np.load(file) as arrays,
        ):  # an array of objects, which would be a pickle, is refused by NumPy
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return torch.load(path, map_location="cpu", weights_only=True)


def _check_kind(path: Path) -> None:
    """Raise `NetworkFileError` for what begins like none of the kinds: a zip archive, a pickle, a safetensors file."""
    with path.open("rb") as file:
        start = file.read(2)
    if not (start == b"PK" or start[:1] == b"\x80" or path.suffix == ".safetensors"):
        raise NetworkFileError(f"{path} is no file of weights; expected .pth, .safetensors or .npz")


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor]) -> None:
    """Write `tensors` to a `.pth`, `.pt`, `.safetensors` or `.npz` file, atomically.

    Raises `InputError` for another suffix and `StorageError` where the file cannot be written.
    """
    path = Path(path)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    if path.suffix not in (".pth", ".pt", ".safetensors", ".npz"):
        raise InputError(
            f"cannot write weights to {str(path)!r}: expected a name that ends in .pth, .safetensors or .npz"
        )
    with atomic_path(path) as temporary:
        if path.suffix == ".safetensors":
            save_file(plain, temporary)
        elif path.suffix == ".npz":
            arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in plain.items()}
            np.savez(temporary, **arrays)
        else:
            torch.save(plain, temporary)
