"""Judging a localiser: every picture as it lies on the disk, boxes compared in the picture's own pixels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassnet.boxes import paired_box_iou
from glassnet.data.annotations.objects import BoxIndex
from glassnet.detection.api import known_to, scan_split
from glassnet.detection.localisation.encoding import NOTHING, Located, one_object
from glassnet.detection.localisation.judgement import WORST, ClassResult, LocalisationJudgement, Wrong
from glassnet.detection.localisation.localiser import Localiser
from glassnet.detection.localisation.metrics import ENOUGH, measures, right
from glassnet.detection.targets import Targets
from glassnet.errors import DataError, InputError
from glassnet.evaluation.bootstrap import wilson_interval
from glassnet.nn.device import pick_device


def judge_localiser(
    localiser: Localiser,
    index: BoxIndex,
    items: NDArray[np.int64],
    *,
    split: str = "test",
    batch_size: int = 32,
    device: str = "auto",
) -> LocalisationJudgement:
    """Let `localiser` look at the `items` of `index` and judge what it says of the largest object of each.

    Raises:
        DataError: the data have a class that the localiser does not know, or no picture can be read.
        InputError: there is no picture to judge.
    """
    if len(items) == 0:
        raise InputError(f"{index.name}: there is no picture to judge; choose another split or other data")
    truth = [known_to(localiser, index, item) for item in items.tolist()]
    began = time.perf_counter()
    sources = (index.source(item) for item in items.tolist())
    answers = list(localiser.answers(sources, batch_size=batch_size, device=device))
    seconds = time.perf_counter() - began
    read = [place for place, answer in enumerate(answers) if answer.located is not None]
    unread = [f"{index.where(item)}: {answers[place].error}" for place, item in enumerate(items) if place not in read]
    if not read:
        raise DataError(f"{index.name}: none of the {len(items):,} pictures could be judged: {unread[0]}")
    shown = [one_object(Targets.of([truth[place]]), answers[place].size or (0, 0)) for place in read]
    boxes, labels = (torch.cat(column) for column in zip(*shown, strict=True))
    located = together([each for answer in answers if (each := answer.located) is not None])
    found = measures(located, boxes, labels)
    correct = right(located, boxes, labels)
    return LocalisationJudgement(
        network=localiser.name,
        data=index.name,
        split=split,
        classes=localiser.classes,
        n=len(read),
        objects=int((labels != NOTHING).sum()),
        accuracy=found["accuracy"],
        accuracy_interval=wilson_interval(int(correct.sum()), len(read)),
        presence=found["presence"],
        class_accuracy=found.get("class_accuracy"),
        mean_iou=found.get("mean_iou"),
        per_class=[
            class_result(name, located, boxes, labels, labels == label) for label, name in enumerate(localiser.classes)
        ],
        several=sum(int(truth[place].counted.sum()) > 1 for place in read),
        wrong=wrong_answers(
            located, boxes, labels, correct, localiser.classes, [index.where(int(items[place])) for place in read]
        ),
        seconds=seconds,
        device=str(pick_device(device)),
        left_out=[str(problem) for problem in index.problems if problem.quarantined] + unread,
    )


def evaluate_localiser(
    localiser: Localiser, data: str | Path, *, split: str = "test", seed: int = 0, **how: Any
) -> LocalisationJudgement:
    """Judge `localiser` on one split of annotated `data`; on all of them where they have no splits of their own."""
    index = scan_split(data, split, seed)
    return judge_localiser(localiser, index, index.select(split), split=split, **how)


def together(answers: Sequence[Located]) -> Located:
    """Return the answers for single pictures as one for all of them."""
    return Located(
        present=torch.cat([each.present for each in answers]),
        boxes=torch.cat([each.boxes for each in answers]),
        classes=torch.cat([each.classes for each in answers]),
    )


def only(located: Located, which: Tensor) -> Located:
    """Return some of the answers, by a mask (N,)."""
    return Located(present=located.present[which], boxes=located.boxes[which], classes=located.classes[which])


def class_result(name: str, located: Located, boxes: Tensor, labels: Tensor, which: Tensor) -> ClassResult:
    """Return the measures over the pictures in `which`, (N,) bool: those whose object is of the class `name`."""
    support = int(which.sum())
    found = measures(only(located, which), boxes[which], labels[which]) if support else {}
    values = {key: found.get(key) for key in ("accuracy", "class_accuracy", "mean_iou")}
    return ClassResult(name=name, support=support, **values)


def wrong_answers(
    located: Located, boxes: Tensor, labels: Tensor, correct: Tensor, classes: Sequence[str], paths: Sequence[str]
) -> list[Wrong]:
    """Return at most `WORST` of the answers that are not right: the least overlap first, and of those the surest."""
    ious, (probability, said) = paired_box_iou(located.boxes, boxes), located.classes.max(1)
    rows = [
        Wrong(
            path=paths[place],
            truth=None if labels[place] == NOTHING else classes[int(labels[place])],
            said=classes[int(said[place])] if located.present[place] >= ENOUGH else None,
            score=round(float(located.present[place] * probability[place]), 5),
            iou=None if labels[place] == NOTHING else round(float(ious[place]), 4),
        )
        for place in (~correct).nonzero().flatten().tolist()
    ]
    return sorted(rows, key=lambda row: (row.iou or 0.0, -row.score))[:WORST]
