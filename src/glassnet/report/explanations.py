"""Occlusion maps for the report: of the hardest pictures, and of one right answer of each class.

Bounded: at most so many pictures, and none is begun after so many seconds; the report says where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import zip_longest

import numpy as np
import torch

from glassnet.data.pictures import Pictures
from glassnet.errors import InputError
from glassnet.evaluation.judgement import Judgement
from glassnet.explain.case import Case
from glassnet.explain.explanation import Explanation
from glassnet.explain.figures import panels
from glassnet.explain.inside import Inside
from glassnet.explain.occlusion.maps import occlusion
from glassnet.explain.page import uris
from glassnet.explain.progress import live
from glassnet.models.network import Network
from glassnet.report.content import Example, Maps
from glassnet.report.thumbnails import Thumbnail, thumbnail

AT_MOST = 24
"""Pictures explained in a report."""
EXAMPLES = 12
"""Right answers shown at most, one of a class."""
TRIED = 8
"""Pictures of a class looked through for a right answer."""


def occlusion_maps(
    network: Network,
    pictures: Pictures,
    judgement: Judgement,
    items: np.ndarray,
    *,
    device: str = "auto",
    at_most: int = AT_MOST,
    seconds: float = 60.0,
    quiet: bool = False,
) -> Maps:
    """Explain the judgement's top losses and one right answer of each class, of `items` that were judged.

    A network that cannot be opened as a graph gives no maps and a note. The answer of the network is what is explained,
    right or wrong: where the picture, covered, would have been called so less surely.
    """
    try:
        inside = Inside.of(network, device=device)
    except InputError as error:
        return Maps(note=f"Nothing is explained here: {error}")
    ends = time.monotonic() + seconds
    examples = list(_right_answers(network, pictures, items, inside, min(EXAMPLES, at_most // 2)))
    losses = [loss.item for loss in judgement.top_losses[: at_most - len(examples)]]
    found = Maps()
    total, done = len(losses) + len(examples), 0
    with live("explaining", quiet=quiet) as progress:
        for loss, example in zip_longest(losses, examples):  # in turns, so that a short time shows some of both
            if time.monotonic() > ends:
                break
            if loss is not None:
                explained = _explain(network, pictures, loss, inside)
                found.losses[loss] = _map(explained), float(explained.array.max())
                progress(done := done + 1, total)
            if example is not None:
                found.examples.append(_example(network, pictures, example, inside))
                progress(done := done + 1, total)
    late = f"Time for {done} of {total} pictures; `glassnet report` takes more." if done < total else ""
    return Maps(losses=found.losses, examples=found.examples, note=late)


def _right_answers(
    network: Network, pictures: Pictures, items: np.ndarray, inside: Inside, count: int
) -> Iterator[int]:
    """Yield for each of the first `count` classes the first of a few of its pictures that is called rightly."""
    predictor = network.predictor(inside.device)
    labels = np.asarray(pictures.labels)[items]
    for number in range(min(count, len(network.classes))):
        own = items[labels == number][:TRIED]
        if not len(own):
            continue
        images = network.preprocess.finish(torch.from_numpy(np.array(pictures.pool[own])))
        right = np.flatnonzero(predictor(images).argmax(1).cpu().numpy() == number)
        if len(right):
            yield int(own[right[0]])


def _explain(network: Network, pictures: Pictures, item: int, inside: Inside) -> Explanation:
    intermediate = torch.from_numpy(np.array(pictures.pool[item : item + 1]))
    case = Case.of_intermediate(network, intermediate, inside=inside, device=inside.device)
    side = max(1, min(case.size) // 14)
    return occlusion(case, size=max(side, min(4, *case.size)), stride=max(1, side))


def _map(explained: Explanation) -> Thumbnail:
    return Thumbnail(uris.jpeg(uris.to_pixels(panels.overlaid(explained))), pixelated=False)


def _example(network: Network, pictures: Pictures, item: int, inside: Inside) -> Example:
    explained = _explain(network, pictures, item, inside)
    assert explained.label is not None
    assert explained.score is not None
    return Example(
        label=explained.label,
        probability=explained.score,
        path=pictures.index.where(item),
        picture=thumbnail(explained.picture),
        map=_map(explained),
        fall=float(explained.array.max()),
    )
