"""Time torchvision.ops.nms on boxes from a file: `nms_torchvision.py boxes.npz THRESHOLD REPEATS` prints JSON."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import torch
import torchvision  # type: ignore[import-not-found]


def main() -> None:
    """Print the milliseconds of each repeat and which boxes stay, plain and by class."""
    torch.set_num_threads(1)
    arrays = np.load(sys.argv[1])
    boxes, scores, classes = (torch.from_numpy(arrays[name]) for name in ("boxes", "scores", "classes"))
    threshold, repeats = float(sys.argv[2]), int(sys.argv[3])
    calls = {
        "nms": lambda: torchvision.ops.nms(boxes, scores, threshold),
        "batched": lambda: torchvision.ops.batched_nms(boxes, scores, classes, threshold),
    }
    said: dict[str, object] = {"versions": f"torchvision {torchvision.__version__}, torch {torch.__version__}"}
    for name, call in calls.items():
        kept, times = call(), []
        for _ in range(repeats):
            start = time.perf_counter()
            call()
            times.append(1000 * (time.perf_counter() - start))
        said[name] = {"ms": times, "kept": kept.tolist()}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
