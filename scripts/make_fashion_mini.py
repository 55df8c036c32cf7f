"""Make the embedded data set `fashion-mini`: 10,000 + 2,000 pictures of Fashion-MNIST in two PNG sheets.

    apt-get install dataset-fashion-mnist        # Debian's package, or the four files from anywhere else
    python scripts/make_fashion_mini.py [--source FOLDER] [--output FOLDER]

From each class, 1,000 of its 6,000 training pictures and 200 of its 1,000 test pictures are drawn without replacement,
with a fixed seed, and laid out class after class: a picture's place on the sheet is its label. The same source gives
the same pixels every time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glassnet.data.formats import as_pictures, read_idx, write_sheet

SEED = 2017  # the year of Fashion-MNIST
COLUMNS = 100


def draw(labels: NDArray[np.uint8], per_class: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return `per_class` item numbers of each class, class after class, in their original order within a class."""
    drawn = [generator.choice(np.flatnonzero(labels == label), per_class, replace=False) for label in range(10)]
    return np.sort(np.stack(drawn), axis=1).reshape(-1)


def make(source: Path, output: Path) -> None:
    """Write `fashion-mini-train.png` and `fashion-mini-test.png` to the folder `output`."""
    generator = np.random.default_rng(SEED)
    for stem, split, per_class in (("train", "train", 1000), ("t10k", "test", 200)):
        images = as_pictures(read_idx(source / f"{stem}-images-idx3-ubyte.gz"), f"{stem} pictures")
        labels = read_idx(source / f"{stem}-labels-idx1-ubyte.gz")
        path = output / f"fashion-mini-{split}.png"
        write_sheet(path, images[draw(labels, per_class, generator)], columns=COLUMNS)
        print(f"{path}: {10 * per_class} pictures, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--output", type=Path, default=root / "src/glassnet/data/embedded")
    arguments = parser.parse_args()
    make(arguments.source, arguments.output)
