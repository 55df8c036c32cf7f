"""The peer of benchmarks/occlusion.py: Captum's Occlusion as a user calls it, on the same network and picture.

Run by that script in a virtual environment with captum and torch, glassnet's source on PYTHONPATH; prints one JSON
object. The network and the picture come from a file that the script wrote.
"""

from __future__ import annotations

import argparse
import json
import time

import captum
import numpy as np
import torch
from captum.attr import Occlusion

from glassnet.models import create


def main() -> None:
    """Time some positions, or write the attribution of a whole grid."""
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("file", help="a .pt file with weights, picture and class")
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--stride", type=int, required=True)
    parser.add_argument("--per-eval", type=int, default=1)
    parser.add_argument("--map", help="write the attribution of the first channel to this .npy")
    options = parser.parse_args()
    given = torch.load(options.file, weights_only=True)
    model = create(options.network)
    model.load_state_dict(given["weights"])
    model.eval()
    images, target, size = given["images"], int(given["target"]), options.size

    def attribute() -> torch.Tensor:
        with torch.no_grad():
            return Occlusion(model).attribute(
                images,
                sliding_window_shapes=(3, size, size),
                strides=(3, options.stride, options.stride),
                baselines=0,
                target=target,
                perturbations_per_eval=options.per_eval,
            )

    with torch.no_grad():
        model(images)
    start = time.perf_counter()
    found = attribute()
    seconds = time.perf_counter() - start
    positions = ((images.shape[2] - size) // options.stride + 1) * ((images.shape[3] - size) // options.stride + 1)
    if options.map:
        np.save(options.map, found[0, 0].numpy())
    print(json.dumps({"ms": 1000 * seconds / positions, "captum": captum.__version__, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
