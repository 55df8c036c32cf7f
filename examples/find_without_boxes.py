"""A classifier that never saw a box finds two things on a wall, in one pass and crop by crop.

EfficientNet-Lite0 pads: in one pass it sees the picture go on where in training it saw zeros, and is less sure of
itself. Needs the extra [pretrained] and scikit-image.

    python examples/find_without_boxes.py docs/sliding-windows.png
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from glassnet.detection.drawing import draw
from glassnet.detection.windows import WindowDetector
from glassnet.models.network import load_network

SCALES, THRESHOLD = (1.6, 2.2), 0.6


def wall() -> np.ndarray:
    """Return a grey wall (600, 960, 3) uint8 with two photographs: a cat and a cup of coffee."""
    pixels = np.random.default_rng(0).integers(175, 185, (600, 960, 3)).astype(np.uint8)
    pixels[30:330, 30:481] = data.chelsea()
    pixels[300:580, 510:930] = np.asarray(Image.fromarray(data.coffee()).resize((420, 280)))
    return pixels


def main() -> None:
    """Draw both answers side by side."""
    network, picture = load_network("efficientnet_lite0", pretrained=True), wall()
    sides = []
    for way, title in (("convolutional", "in one pass"), ("crops", "crop by crop")):
        detector = WindowDetector(network, scales=SCALES, threshold=THRESHOLD, way=way)
        (found,) = detector.detect(picture)
        for label, score, box in zip(found.labels, found.scores, found.boxes, strict=True):
            print(f"{title}: {found.classes[label]} {score:.2f} {[round(float(side)) for side in box]}")
        side = Image.new("RGB", (960, 640), "white")
        side.paste(draw(picture, found), (0, 40))
        ImageDraw.Draw(side).text((4, 4), title, "black", font=ImageFont.load_default(28))
        sides.append(side)
    both = Image.new("RGB", (1940, 640), "white")
    for number, side in enumerate(sides):
        both.paste(side, (number * 980, 0))
    both.resize((1455, 480), Image.Resampling.LANCZOS).save(sys.argv[1])


if __name__ == "__main__":
    main()
