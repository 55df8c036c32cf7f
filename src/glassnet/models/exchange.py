"""Networks from the files of others, and back: a state dict and its layout become a network file, and the reverse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glassnet.errors import InputError
from glassnet.models.base import check_classes, new_card
from glassnet.models.foreign import Layout, read_tensors, write_tensors
from glassnet.models.layouts import layout as find_layout
from glassnet.models.layouts import layouts
from glassnet.models.network import Network
from glassnet.models.pretrained import imagenet_classes
from glassnet.models.registry import create, with_channels
from glassnet.nn.shapes import shapes_only, with_memory


def import_network(
    path: str | Path,
    name: str,
    *,
    layout: str | None = None,
    classes: Sequence[str] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Network:
    """Return the registered network `name` with the weights of the file at `path`, which somebody else wrote.

    layout: whose names the file's tensors have; None finds out. classes: the names of its classes, in the head's order;
    None is for ImageNet's 1000. arguments: the network's own, and `in_channels` where it is not 3. The card gets the
    preprocess that the layout's weights are usually trained with.

    Raises:
        NetworkFileError: the file cannot be read, or has a tensor too many, too few or of another shape.
        UnknownName, InputError: an unknown network or layout, arguments that the layout contradicts, or classes that
            are not as many as the head has.
    """
    if "classes" in (arguments or {}):
        raise InputError("how many classes there are is read from the file's head; classes gives their names")
    tensors = read_tensors(path)
    chosen, given = _recognise(name, layout, arguments or {}, tensors, str(path))
    with shapes_only():  # no random numbers are drawn for weights that the file replaces
        count = chosen.classes(create(name, **given), tensors) or 1000
        module = create(name, classes=count, **given)
    ours = chosen.to_ours(module, tensors, str(path))
    names = _class_names(classes, count)
    module = with_memory(module)
    module.load_state_dict(ours)
    preprocess = with_channels(chosen.preprocess, given.get("in_channels", 3))
    card = new_card(name, names, preprocess, given, f"{Path(path).name}, {chosen.about}")
    return Network(module, card)


def export_network(network: Network, path: str | Path, layout: str) -> Layout:
    """Write the weights of `network` to `path` (.pth, .safetensors or .npz) under the names of `layout`; return it.

    Raises `InputError` or `UnknownName` where the network has no such layout, or was built in a way the layout does not
    have, and `StorageError` where the file cannot be written.
    """
    chosen = find_layout(network.card.architecture, layout)
    arguments = {name: value for name, value in network.card.arguments.items() if name != "in_channels"}
    chosen.check_built(arguments)
    write_tensors(path, chosen.to_theirs(network.module))
    return chosen


def _recognise(
    name: str, asked: str | None, arguments: Mapping[str, Any], tensors: Mapping[str, Any], where: str
) -> tuple[Layout, dict[str, Any]]:
    """Return the layout whose names fit the file best, and the arguments to build the network with.

    Raises `InputError` where two layouts fit as well, or the one `asked` for contradicts `arguments`.
    """
    known = (find_layout(name, asked),) if asked else tuple(found for found in layouts(name) if not found.by_name_only)
    differing: dict[str, tuple[int, Layout, dict[str, Any]]] = {}
    for layout in known or (find_layout(name, ""),):  # the call raises: the network has no layouts
        for form in layout.forms:
            given = layout.with_presupposed({**form, **arguments})
            with shapes_only():
                names = layout.names(create(name, **given)).values()
            count = len(set(names) ^ set(tensors))
            if layout.name not in differing or count < differing[layout.name][0]:
                differing[layout.name] = (count, layout, given)
    least = min(count for count, _, _ in differing.values())
    best = [(layout, given) for count, layout, given in differing.values() if count == least]
    if len(best) > 1:
        choices = "; ".join(f"{layout.name}: {layout.about}" for layout, _ in best)
        raise InputError(f"{where}: its names fit more than one layout; say which, with --layout ({choices})")
    return best[0]


def _class_names(classes: Sequence[str] | None, count: int) -> Sequence[str]:
    if classes is None:
        if count != 1000:
            raise InputError(f"the head has {count} classes; name them (--classes FILE, one name a line)")
        return imagenet_classes()
    check_classes(classes)
    if len(classes) != count:
        raise InputError(f"{len(classes)} class names came, but the head has {count} classes; expected as many")
    return classes
