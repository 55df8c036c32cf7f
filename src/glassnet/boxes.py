"""Boxes: the rectangles of detection, their formats, areas, and how much two of them overlap.

Everywhere a box is (..., 4) xyxy: left, top, right, bottom, in pixels of the picture, edges and not centres of pixels,
unless the name says otherwise. Names and argument order are torchvision.ops's where it has them. Numbers are computed
in float32 at least; boxes without area overlap nothing, and nothing here is ever NaN for finite boxes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from glassnet.errors import InputError, UnknownName

FORMATS = ("xyxy", "xywh", "cxcywh")
"""Corners; left top corner and size; centre and size."""


def xywh_to_xyxy(boxes: Tensor) -> Tensor:
    """(left, top, width, height) -> (left, top, right, bottom); (..., 4)."""
    corner, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([corner, corner + size], -1)


def xyxy_to_xywh(boxes: Tensor) -> Tensor:
    """(left, top, right, bottom) -> (left, top, width, height); (..., 4)."""
    corner, far = boxes[..., :2], boxes[..., 2:]
    return torch.cat([corner, far - corner], -1)


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """(centre x, centre y, width, height) -> (left, top, right, bottom); (..., 4)."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """(left, top, right, bottom) -> (centre x, centre y, width, height); (..., 4)."""
    corner, far = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(corner + far) / 2, far - corner], -1)


def absolute_to_relative(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels -> shares of a picture of `size` (height, width); any format of `FORMATS`, (..., 4)."""
    return boxes / _scale(boxes, size)


def relative_to_absolute(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Shares of a picture of `size` (height, width) -> pixels; any format of `FORMATS`, (..., 4)."""
    return boxes * _scale(boxes, size)


_TO_XYXY = {"xyxy": lambda boxes: boxes, "xywh": xywh_to_xyxy, "cxcywh": cxcywh_to_xyxy}
_FROM_XYXY = {"xyxy": lambda boxes: boxes, "xywh": xyxy_to_xywh, "cxcywh": xyxy_to_cxcywh}


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Return `boxes` (..., 4) in another of `FORMATS`; raise `UnknownName` for a format that is none.

    >>> box_convert(torch.tensor([10.0, 20.0, 30.0, 60.0]), "xyxy", "cxcywh").tolist()
    [20.0, 40.0, 20.0, 40.0]
    """
    _check(boxes)
    for name in (in_fmt, out_fmt):
        if name not in FORMATS:
            raise UnknownName("box format", name, FORMATS, hint=f"there are {', '.join(FORMATS)}")
    converted: Tensor = boxes.clone() if in_fmt == out_fmt else _FROM_XYXY[out_fmt](_TO_XYXY[in_fmt](boxes))
    return converted


def box_area(boxes: Tensor) -> Tensor:
    """Return the areas (...) of `boxes` (..., 4) xyxy; a box turned inside out has none."""
    sides = _sides(_numbers(boxes))
    return sides[..., 0] * sides[..., 1]


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return `boxes` (..., 4) xyxy cut off at the edges of a picture of `size` (height, width)."""
    _check(boxes)
    height, width = size
    most = torch.tensor([width, height, width, height], dtype=boxes.dtype, device=boxes.device)
    return torch.minimum(boxes.clamp(min=0), most)


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """Return the numbers (K,) of the `boxes` (N, 4) xyxy whose sides both measure at least `min_size` pixels."""
    sides = _numbers(boxes)[:, 2:] - _numbers(boxes)[:, :2]
    return torch.where((sides >= min_size).all(1))[0]


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Return the intersection over union (..., N, M) of each of `boxes1` (..., N, 4) with each of `boxes2` (..., M, 4).

    In [0, 1]; 1 for equal boxes, 0 for boxes apart, touching, or without area.

    >>> box_iou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 1, 3, 3]])).item() == 1 / 7
    True
    """
    return _iou(*_pairs(boxes1, boxes2))


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Return GIoU (..., N, M): IoU minus the share of the boxes' common hull that neither covers; in (-1, 1].

    Rezatofighi et al. 2019, "Generalized intersection over union", arXiv:1902.09630, algorithm 1.
    """
    one, other = _pairs(boxes1, boxes2)
    intersection, union = _intersection_and_union(one, other)
    hull = _hull(one, other)
    area = hull[..., 0] * hull[..., 1]
    return _share(intersection, union) - _share(area - union, area)


def distance_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """Return DIoU (..., N, M): IoU minus (distance of the centres / diagonal of the hull) squared; in (-1, 1].

    Zheng et al. 2019, "Distance-IoU loss", arXiv:1911.08287, equation 6. `eps` keeps the hull of two equal points from
    dividing by zero.
    """
    one, other = _pairs(boxes1, boxes2)
    return _iou(one, other) - _distance(one, other, eps)


def complete_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """Return CIoU (..., N, M): DIoU minus alpha v, where v is how far the aspect ratios differ.

    v = 4 / pi^2 (atan(w1 / h1) - atan(w2 / h2))^2 and alpha = v / (1 - IoU + v), which takes no part in a gradient
    (arXiv:1911.08287, equations 8 to 11).
    """
    return _complete(*_pairs(boxes1, boxes2), eps)


def paired_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Return the IoU (...) of each of `boxes1` (..., 4) with its partner in `boxes2` (..., 4); 0 without area."""
    return _iou(_numbers(boxes1), _numbers(boxes2))


def paired_complete_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """Return the CIoU (...) of each of `boxes1` (..., 4) with its partner in `boxes2` (..., 4)."""
    return _complete(_numbers(boxes1), _numbers(boxes2), eps)


def _complete(one: Tensor, other: Tensor, eps: float) -> Tensor:
    iou = _iou(one, other)
    v = 4 / math.pi**2 * (_slope(one) - _slope(other)) ** 2
    with torch.no_grad():
        alpha = v / (1 - iou + v + eps)
    return iou - _distance(one, other, eps) - alpha * v


def _pairs(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    """(..., N, 1, 4) and (..., 1, M, 4), in float32 at least."""
    return _numbers(boxes1)[..., :, None, :], _numbers(boxes2)[..., None, :, :]


def _iou(one: Tensor, other: Tensor) -> Tensor:
    return _share(*_intersection_and_union(one, other))


def _intersection_and_union(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    corner = torch.maximum(one[..., :2], other[..., :2])
    far = torch.minimum(one[..., 2:], other[..., 2:])
    sides = (far - corner).clamp(min=0)
    intersection = sides[..., 0] * sides[..., 1]
    intersection = torch.where((box_area(one) > 0) & (box_area(other) > 0), intersection, 0)
    return intersection, box_area(one) + box_area(other) - intersection


def _hull(one: Tensor, other: Tensor) -> Tensor:
    """Return the width and height of the smallest box around two."""
    far = torch.maximum(one[..., 2:], other[..., 2:])
    return (far - torch.minimum(one[..., :2], other[..., :2])).clamp(min=0)


def _distance(one: Tensor, other: Tensor, eps: float) -> Tensor:
    """Return the squared distance of the centres over the squared diagonal of the hull."""
    apart = (one[..., :2] + one[..., 2:] - other[..., :2] - other[..., 2:]) / 2
    return (apart**2).sum(-1) / ((_hull(one, other) ** 2).sum(-1) + eps)


def _slope(boxes: Tensor) -> Tensor:
    """Return atan(width / height); a point counts as square."""
    sides = _sides(boxes)
    return torch.atan2(*torch.where((sides > 0).any(-1, keepdim=True), sides, 1).unbind(-1))


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """Return part / whole, and 0 where there is no whole."""
    return part / torch.where(whole > 0, whole, 1) * (whole > 0)


def _sides(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)


def _scale(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = size
    if height <= 0 or width <= 0:
        raise InputError(f"the picture's size is {height} x {width}; expected at least 1 x 1 (height x width)")
    return torch.tensor([width, height, width, height], dtype=_numbers(boxes).dtype, device=boxes.device)


def _numbers(boxes: Tensor) -> Tensor:
    """Return `boxes` in float32, or in float64 if that is what they are; raise `InputError` for another shape."""
    _check(boxes)
    return boxes if boxes.dtype in (torch.float32, torch.float64) else boxes.to(torch.float32)


def _check(boxes: Tensor) -> None:
    if boxes.ndim < 1 or boxes.shape[-1] != 4:
        raise InputError(f"boxes have shape {tuple(boxes.shape)}; expected (..., 4)")
