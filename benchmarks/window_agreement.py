"""How far one convolutional pass and crop by crop agree, for networks that pad and one that does not.

Photographs: SqueezeNet 1.0 and EfficientNet-Lite0 with ImageNet weights on photographs of skimage, at scales 1.5 and 2
and stride 32.

Blood cells (shared data, bccd): two small classifiers of 32 x 32 pixels, the same layers with and without padding,
learn from crops of the training pictures: cells, and places where no cell lies in the middle, the class "background".
Then they slide over validation pictures, and what is found is judged by COCO's average precision. What counts here is
the difference between the ways and not the level: a window is square and comes in a few sizes, so boxes fit roughly.

    python benchmarks/window_agreement.py --squeezenet squeezenet.safetensors [--learn 50] [--pictures 6] [--epochs 3]

Writes benchmarks/results/window_agreement.md. No time is measured. The network file is made by
`glassnet weights import squeezenet_v1.0.npz --network squeezenet1_0 -o squeezenet.safetensors`.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "window_agreement.md"
DATA = HERE.parents[1] / "shared" / "data" / "bccd"
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
SIDE, BACKGROUND = 32, "background"
SCALES, STRIDE = (1.5, 2.2, 3.2, 4.7, 7.0, 10.0), 8
COPIES = {"RBC": 2, "WBC": 12, "Platelets": 12}  # about as many of each
LAYERS = """
name = "{name}"
input = [32, 32, 3]
[defaults.conv]
padding = "{padding}"
norm = "batch"
activation = "relu"
[[layers]]
conv = 24
repeat = 2
[[layers]]
pool = "max"
[[layers]]
conv = 48
repeat = 2
[[layers]]
pool = "max"
[[layers]]
dense = 96
activation = "relu"
dropout = 0.3
"""


def photographs(squeezenet: Path | None) -> list[str]:
    """Return a row for each pretrained network."""
    from skimage import data

    from glassnet.detection.windows.agreement import agreement
    from glassnet.models.network import load_network

    pictures = [getattr(data, name)() for name in PHOTOGRAPHS]
    networks = [load_network("efficientnet_lite0", pretrained=True)]
    networks += [load_network(squeezenet)] if squeezenet else []
    return [row(agreement(network, pictures, scales=(1.5, 2.0), stride=32), "photographs", {}) for network in networks]


def cut_out(index: Any, folder: Path, count: int) -> None:
    """Write crops of the first `count` training pictures to one folder for each class, as 32 x 32 PNG."""
    rng = np.random.default_rng(0)
    for item in index.select("train")[:count].tolist():
        picture = Image.open(index.source(item)).convert("RGB")
        objects = index.objects[item]
        squares = [
            (index.classes[label], square)
            for box, label in zip(objects.boxes, objects.labels.tolist(), strict=True)
            for square in around(box, COPIES[index.classes[label]], rng)
        ]
        squares += [(BACKGROUND, square) for square in beside(objects.boxes, picture.size, rng, 24)]
        for number, (name, (left, top, side)) in enumerate(squares):
            (folder / name).mkdir(exist_ok=True)
            cut = picture.crop((round(left), round(top), round(left + side), round(top + side)))
            cut.resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(folder / name / f"{item}_{number}.png")


def around(box: np.ndarray, copies: int, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Return squares (left, top, side) around a box, each a little moved and stretched."""
    x, y, side = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, max(box[2] - box[0], box[3] - box[1])
    sides = side * np.exp(rng.uniform(-0.15, 0.15, copies))
    moves = side * rng.uniform(-0.1, 0.1, (copies, 2))
    return [(x + dx - s / 2, y + dy - s / 2, s) for s, (dx, dy) in zip(sides, moves, strict=True)]


def beside(
    boxes: np.ndarray, size: tuple[int, int], rng: np.random.Generator, count: int
) -> list[tuple[float, float, float]]:
    """Return squares of all sizes that overlap no box by an IoU above 0.3; half of them are near one."""
    import torch

    from glassnet.boxes import box_iou

    found: list[tuple[float, float, float]] = []
    for _ in range(20 * count):
        side = min(size) / float(np.exp(rng.uniform(np.log(1.5), np.log(10))))
        left, top = rng.uniform(0, size[0] - side), rng.uniform(0, size[1] - side)
        if len(found) % 2 and len(boxes):
            near = boxes[rng.integers(len(boxes))]
            left, top = rng.normal((near[:2] + near[2:]) / 2 - side / 2, 0.5 * (near[2:] - near[:2]))
        square = torch.tensor([[left, top, left + side, top + side]], dtype=torch.float32)
        if not len(boxes) or box_iou(square, torch.from_numpy(boxes)).max() < 0.3:
            found.append((left, top, side))
        if len(found) == count:
            break
    return found


def cells(learn: int, pictures: int, epochs: float) -> list[str]:
    """Return a row for each of the two classifiers of blood cells."""
    import glassnet
    from glassnet.data.annotations.scan import scan_boxes
    from glassnet.detection.judging.coco import average_precision
    from glassnet.detection.windows.agreement import agreement, judge_both

    index = scan_boxes(DATA)
    items = index.select("validation")[:pictures].tolist()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "crops").mkdir()
        cut_out(index, folder / "crops", learn)
        for title, padding in (("padded", "same"), ("valid", "valid")):
            description = folder / f"{title}.toml"
            description.write_text(LAYERS.format(name=title, padding=padding), "utf-8")
            run = glassnet.train(folder / "crops", network=str(description), epochs=epochs, output=folder / title)
            network = run.network
            order = [network.classes.index(each) for each in index.classes]
            truth = [relabelled(index.objects[item], order) for item in items]
            settings = {"scales": SCALES, "stride": STRIDE}
            where = [index.source(item) for item in items]
            judged = judge_both(network, where, truth, average_precision, background=BACKGROUND, **settings)
            rows.append(row(agreement(network, where, **settings), "blood cells", judged))
    return rows


def relabelled(objects: Any, order: list[int]) -> Any:
    """Return objects with the classifier's class numbers."""
    from glassnet.data.annotations.objects import Objects

    labels = [order[label] for label in objects.labels.tolist()]
    return Objects.of(objects.boxes, labels, objects.difficult, objects.crowd)


def row(found: Any, pictures: str, judged: dict[str, Any]) -> str:
    """Return a row of the table, and print it."""
    cells = [
        found.network,
        f"{found.pictures} {pictures}",
        f"{found.windows:,}",
        f"{found.top1:.1%}",
        f"{found.correlation:.4f}",
        f"{found.difference:.2g}",
        f"{found.probability:.2g}",
    ]
    for way in ("crops", "convolutional"):
        cells.append(f"{judged[way].map50:.3f}, {judged[way].map:.3f}" if judged else "")
    print(line := f"| {' | '.join(cells)} |", flush=True)
    return line


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squeezenet", type=Path)
    parser.add_argument("--cells", action=argparse.BooleanOptionalAction, default=True, help="with the blood cells")
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--learn", type=int, default=50, help="training pictures of cells that crops are taken from")
    parser.add_argument("--epochs", type=float, default=3)
    options = parser.parse_args()
    rows = photographs(options.squeezenet)
    if options.cells:
        rows += cells(options.learn, options.pictures, options.epochs)
    write(rows, options.learn, options.epochs)


def write(rows: list[str], learn: int, epochs: float) -> None:
    """Write the page."""
    from glassnet.nn.device import versions

    said = versions()
    cells_words = f"the classifiers of cells learnt from {learn} pictures for {epochs:g} epochs"
    if not any("blood cells" in row for row in rows):
        cells_words = "without the blood cells (--no-cells), so nothing is judged by mAP"
    head = [
        "# How far the two ways of sliding a window agree",
        "",
        f"{date.today()}; Python {said['python']}, torch {said['torch']}, glassnet {said['glassnet']}.",
        f"One run, seed 0; {cells_words}.",
        "Made by `benchmarks/window_agreement.py`, which says what the networks and pictures are. Correlation: of all",
        "windows' and classes' scores. Difference: the largest of two logits. Probability: the mean difference of the",
        "likeliest class's. mAP50 and mAP: COCO's, everything found counts.",
        "",
        "| network | pictures | windows | same class | correlation | difference | probability | mAP50, mAP by crops |"
        " in one pass |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    RESULT.write_text("\n".join([*head, *rows, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
