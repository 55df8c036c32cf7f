"""What stands beyond the picture's edge: a convolution has to read something there, and it can be chosen.

Zeros draw a dark frame that every layer sees; the nearest value continues the edge outwards, so that a plain area stays
plain; reflection continues the texture. Torch has all three under its own words; here they have the words of the texts.
"""

from __future__ import annotations

from typing import Literal

from glassnet.errors import UnknownName

TorchMode = Literal["zeros", "replicate", "reflect"]

PADDINGS: dict[str, TorchMode] = {
    "zero": "zeros",
    "replicate": "replicate",
    "nearest": "replicate",
    "reflect": "reflect",
}
"""Our word for what lies beyond the edge -> torch's `padding_mode`; "nearest" is another word for "replicate"."""


def padding_mode(name: str) -> TorchMode:
    """Return torch's word for a padding: "zero", "replicate" (or "nearest"): the edge's value, "reflect": mirrored.

    Raises `UnknownName`.

    >>> padding_mode("zero"), padding_mode("nearest")
    ('zeros', 'replicate')
    """
    if name not in PADDINGS:
        raise UnknownName("padding", name, PADDINGS, hint=f"expected one of {', '.join(PADDINGS)}")
    return PADDINGS[name]
