"""Time torchvision's ssdlite320_mobilenet_v3_large: `detector_torchvision.py PICTURE.npy REPEATS` prints JSON."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import torch
import torchvision  # type: ignore[import-not-found]
from torch.utils.flop_counter import FlopCounterMode


def main() -> None:
    """Print the milliseconds of each part of each repeat, and the multiply-adds of the forward pass."""
    torch.manual_seed(0)
    picture, repeats = np.load(sys.argv[1]), int(sys.argv[2])
    model = torchvision.models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).eval()
    model = model.to(memory_format=torch.channels_last)
    times: dict[str, list[float]] = {"preprocess": [], "forward": [], "select": []}
    with torch.inference_mode():
        for _ in range(repeats + 3):
            marks = [time.perf_counter()]
            image = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
            images, _ = model.transform([image], None)
            tensor = images.tensors.to(memory_format=torch.channels_last)
            marks.append(time.perf_counter())
            features = list(model.backbone(tensor).values())
            said = model.head(features)
            marks.append(time.perf_counter())
            anchors = model.anchor_generator(images, features)
            found = model.postprocess_detections(said, anchors, images.image_sizes)
            model.transform.postprocess(found, images.image_sizes, [picture.shape[:2]])
            marks.append(time.perf_counter())
            for name, begin, end in zip(times, marks, marks[1:], strict=False):
                times[name].append(1000 * (end - begin))
        with FlopCounterMode(display=False) as counter:
            model.head(list(model.backbone(tensor).values()))
    print(
        json.dumps(
            {
                "versions": f"torchvision {torchvision.__version__}, torch {torch.__version__}",
                "multiply_adds": counter.get_total_flops() / 2,
                "boxes": len(found[0]["scores"]),
                "ms": {name: values[3:] for name, values in times.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
