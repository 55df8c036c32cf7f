"""Make docs/detection.png: boxes on a photograph of coins, drawn as `glassnet detect` draws them.

The photograph is scikit-image's. Its coins, found by a threshold, are the truth; what a detector might say of them is
made up from that: moved a little, two coins missed, one box too many. Needs the `dev` extra.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage.data
import skimage.filters
import skimage.measure
import skimage.morphology
import skimage.segmentation
from PIL import Image

from glassnet.data.annotations.objects import Objects
from glassnet.detection.detections import Detections
from glassnet.detection.drawing import draw

TARGET = Path(__file__).parents[1] / "docs" / "detection.png"
CLASSES = ("large coin", "small coin")
SCALE = 2  # the photograph is small


def coins() -> tuple[Image.Image, np.ndarray]:
    """Return the photograph, enlarged, and the boxes (n, 4) xyxy of its coins."""
    photograph = skimage.data.coins()[:-55]
    bright = photograph > skimage.filters.threshold_otsu(photograph)
    closed = skimage.segmentation.clear_border(skimage.morphology.closing(bright, np.ones((3, 3))))
    regions = [r for r in skimage.measure.regionprops(skimage.measure.label(closed)) if r.area > 300]
    boxes = np.array([[r.bbox[1], r.bbox[0], r.bbox[3], r.bbox[2]] for r in regions], np.float32)
    image = Image.fromarray(photograph)
    return image.resize((image.width * SCALE, image.height * SCALE), Image.Resampling.LANCZOS), boxes * SCALE


def main() -> None:
    """Draw and write the picture."""
    image, boxes = coins()
    generator = np.random.default_rng(7)
    labels = (np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1)) < 88).astype(np.int64)
    moved = boxes + generator.normal(0, 3, boxes.shape).astype(np.float32)
    kept = np.sort(generator.permutation(len(boxes))[2:])
    extra = np.array([[20, 30, 90, 96]], np.float32) + np.array([[8, 330, 8, 330]], np.float32)
    found = Detections(
        boxes=np.concatenate([moved[kept], extra]).clip(0, [*image.size] * 2).astype(np.float32),
        scores=np.append(np.sort(generator.beta(9, 1.3, len(kept)))[::-1], 0.36).astype(np.float32),
        labels=np.append(labels[kept], 1),
        classes=CLASSES,
        size=(image.height, image.width),
    )
    draw(image, found, truth=Objects.of(boxes, labels)).quantize(128).save(TARGET, optimize=True)
    print(TARGET, f"{TARGET.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
