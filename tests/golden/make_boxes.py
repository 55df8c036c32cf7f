"""Record what torchvision.ops says of boxes, for tests that do not need it.

Run it where torch and torchvision are (an environment of its own); it writes boxes.json beside itself:

    python tests/golden/make_boxes.py
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torchvision  # type: ignore[import-not-found]
from torchvision import ops


def drawn(count: int, seed: int) -> torch.Tensor:
    """Return `count` boxes (N, 4) xyxy on a picture of 100 x 100, quarter pixels, so that they are exact in JSON."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 320, (count, 2), generator=generator) / 4
    size = torch.randint(1, 160, (count, 2), generator=generator) / 4
    return torch.cat([corner, corner + size], 1)


def main() -> None:
    """Write the file."""
    one, other = drawn(12, 0), drawn(9, 1)
    many = drawn(300, 2)
    scores = torch.randperm(300, generator=torch.Generator().manual_seed(3)) / 300
    classes = torch.randint(0, 4, (300,), generator=torch.Generator().manual_seed(4))
    said = {
        "versions": f"torchvision {torchvision.__version__}, torch {torch.__version__}",
        "one": one.tolist(),
        "other": other.tolist(),
        "area": ops.box_area(one).tolist(),
        "iou": ops.box_iou(one, other).tolist(),
        "giou": ops.generalized_box_iou(one, other).tolist(),
        "diou": ops.distance_box_iou(one, other).tolist(),
        "ciou": ops.complete_box_iou(one, other).tolist(),
        "clipped": ops.clip_boxes_to_image(one, (60, 50)).tolist(),
        "small": ops.remove_small_boxes(one, 20).tolist(),
        "cxcywh": ops.box_convert(one, "xyxy", "cxcywh").tolist(),
        "many": many.tolist(),
        "scores": scores.tolist(),
        "classes": classes.tolist(),
        "nms": {t: ops.nms(many, scores, float(t)).tolist() for t in ("0.0", "0.3", "0.5", "0.7", "1.0")},
        "batched_nms": {t: ops.batched_nms(many, scores, classes, float(t)).tolist() for t in ("0.3", "0.5")},
    }
    Path(__file__).with_name("boxes.json").write_text(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
