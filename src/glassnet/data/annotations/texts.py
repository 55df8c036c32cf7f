"""The four formats as text: what is written of each picture and each split, the inverse of what the readers read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from glassnet.data.annotations.objects import Objects

SPLIT_WORDS = ("train", "val", "test")  # as all four formats call them
DIGITS = 4  # behind the point of a pixel, 8 of a share: a share of 10,000 pixels is then as exact


@dataclass(frozen=True)
class Written:
    """A picture on its way into another format: its new file name, size (height, width), split and objects."""

    name: str
    size: tuple[int, int]
    split: int
    objects: Objects

    @property
    def stem(self) -> str:
        """Its name without the suffix."""
        return self.name.rpartition(".")[0] or self.name


def number(value: float, digits: int = DIGITS) -> int | float:
    """Return a number as formats like it: whole where it is whole, else rounded."""
    rounded = round(float(value), digits)
    return int(rounded) if rounded == int(rounded) else rounded


def voc_text(picture: Written, folder: str, classes: Sequence[str]) -> str:
    """Return the XML of a picture: corners counted from 1, both inside the box.

    Pascal VOC has no crowds: they are marked difficult, which its judges pass over as well, and <iscrowd>.
    """
    root = ElementTree.Element("annotation")
    height, width = picture.size
    for tag, text in (("folder", folder), ("filename", picture.name)):
        ElementTree.SubElement(root, tag).text = text
    size = ElementTree.SubElement(root, "size")
    for tag, value in (("width", width), ("height", height), ("depth", 3)):
        ElementTree.SubElement(size, tag).text = str(value)
    ElementTree.SubElement(root, "segmented").text = "0"
    objects = picture.objects
    for box, label, difficult, crowd in zip(
        objects.boxes.tolist(), objects.labels.tolist(), objects.difficult, objects.crowd, strict=True
    ):
        thing = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(thing, "name").text = classes[label]
        ElementTree.SubElement(thing, "truncated").text = "0"
        ElementTree.SubElement(thing, "difficult").text = str(int(difficult or crowd))
        if crowd:
            ElementTree.SubElement(thing, "iscrowd").text = "1"
        bounds = ElementTree.SubElement(thing, "bndbox")
        for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
            ElementTree.SubElement(bounds, tag).text = str(number(value + (tag in ("xmin", "ymin"))))
    ElementTree.indent(root, "\t")
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def coco_text(pictures: Sequence[Written], classes: Sequence[str], about: str) -> str:
    """Return the JSON of the pictures of a split; ids count from 1.

    COCO has no difficult objects; "difficult": 1 is written beside, which its judges do not know.
    """
    annotations: list[dict[str, Any]] = []
    for image, picture in enumerate(pictures, 1):
        objects = picture.objects
        for box, label, difficult, crowd in zip(
            objects.boxes.tolist(), objects.labels.tolist(), objects.difficult, objects.crowd, strict=True
        ):
            left, top, right, bottom = box
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image,
                "category_id": label + 1,
                "bbox": [number(value) for value in (left, top, right - left, bottom - top)],
                "area": number((right - left) * (bottom - top)),
                "iscrowd": int(crowd),
            }
            annotations.append(annotation | ({"difficult": 1} if difficult else {}))
    content = {
        "info": {"description": about},
        "images": [
            {"id": image, "file_name": picture.name, "width": picture.size[1], "height": picture.size[0]}
            for image, picture in enumerate(pictures, 1)
        ],
        "annotations": annotations,
        "categories": [{"id": position, "name": name} for position, name in enumerate(classes, 1)],
    }
    return json.dumps(content, ensure_ascii=False) + "\n"


def yolo_text(picture: Written) -> str:
    """Return the lines of a picture: class number, centre x, centre y, width, height, as shares of it.

    YOLO has no marks: crowds, which are no objects to be found, are left out, and difficult objects are ordinary ones.
    """
    height, width = picture.size
    lines = []
    for (left, top, right, bottom), label, crowd in zip(
        picture.objects.boxes.tolist(), picture.objects.labels.tolist(), picture.objects.crowd, strict=True
    ):
        if not crowd:
            shares = (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width
            lines.append(" ".join([str(label), *(f"{share:.8f}" for share in (*shares, (bottom - top) / height))]))
    return "".join(f"{line}\n" for line in lines)


def yaml_text(classes: Sequence[str], splits: Sequence[int]) -> str:
    """Return the data.yaml of folders images/train ... beside it; names in single quotes, where nothing is special."""
    lines = [f"{SPLIT_WORDS[split]}: images/{SPLIT_WORDS[split]}" for split in splits]
    names = [f"  {label}: '{name.replace(chr(39), chr(39) * 2)}'" for label, name in enumerate(classes)]
    return "\n".join([*lines, f"nc: {len(classes)}", "names:", *names]) + "\n"


def csv_text(pictures: Sequence[Written], classes: Sequence[str], folder: str) -> str:
    """Return a table with a row for each box, and one without label and numbers for a picture without objects.

    The columns difficult and crowd are only there where any box is marked.
    """
    marks = [name for name in ("difficult", "crowd") if any(getattr(each.objects, name).any() for each in pictures)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "xmin", "ymin", "xmax", "ymax", "split", *marks])
    for picture in pictures:
        path, split = f"{folder}/{picture.name}", SPLIT_WORDS[picture.split]
        objects = picture.objects
        for row, (box, label) in enumerate(zip(objects.boxes.tolist(), objects.labels.tolist(), strict=True)):
            marked = [int(getattr(objects, name)[row]) for name in marks]
            writer.writerow([path, classes[label], *map(number, box), split, *marked])
        if not len(objects):
            writer.writerow([path, *[""] * 5, split, *[""] * len(marks)])
    return text.getvalue()
