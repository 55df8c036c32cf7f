"""What a judgement of methods found: a row of numbers per method, and the finding in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from glassnet.evaluation.bootstrap import confidence_interval, wilson_interval
from glassnet.explain.judging.sanity import SAME

MOST_IN_WORDS = 4


@dataclass(frozen=True)
class Estimate:
    """A mean over pictures and its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """Say it as "0.41 (0.35 to 0.47)"."""
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})"


def mean_of(values: npt.ArrayLike, *, seed: int = 0) -> Estimate:
    """Return the mean of one number per picture, with the percentile bootstrap over pictures; of one, just itself."""
    numbers = np.asarray(values, np.float64)
    once = np.ones(len(numbers), np.int64)
    low, high = confidence_interval(once, lambda counts: counts @ numbers / len(numbers), seed=seed)
    return Estimate(float(numbers.mean()), low, high)


def share_of(hits: Sequence[bool]) -> Estimate:
    """Return the share of hits with Wilson's interval, which stays honest where all or none are."""
    return Estimate(sum(hits) / len(hits), *wilson_interval(sum(hits), len(hits)))


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of one method; None is what was not asked, as pointing without boxes.

    deletion, insertion: areas under the curves, in [0, 1], low and high being good; net: insertion - deletion; over
    random: net less the better random map's, picture by picture. pointing: share of hits; inside: share of the map's
    mass in the boxes. correlations: of ranks with the maps of networks that forgot the head, half of their layers, and
    all of them. seconds: per picture, for the map alone.
    """

    method: str
    title: str
    deletion: Estimate
    insertion: Estimate
    net: Estimate
    over_random: Estimate | None
    pointing: Estimate | None
    inside: Estimate | None
    correlations: tuple[float, ...] | None
    seconds: float

    @property
    def is_random(self) -> bool:
        """Whether it is a baseline that knows nothing."""
        return self.over_random is None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How well methods explain one network on some pictures; `skipped` are pictures that could not be read, and why."""

    network: str
    pictures: int
    rows: tuple[Row, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def sentences(self) -> list[str]:
        """What was found: which method's order is best, which are no better than chance, which ignore the weights."""
        methods = sorted((row for row in self.rows if row.over_random), key=lambda row: -row.net.mean)
        chance = max((row.net.mean for row in self.rows if row.is_random), default=0.0)
        best = methods[0]
        over = f"over {self.pictures} pictures" if self.pictures > 1 else "on one picture, which is an anecdote"
        said = [
            f"{best.title} puts first what {self.network} needs most, {over}: insertion - deletion {best.net}, "
            f"where a random map has {chance:.2f}."
        ]
        lucky = [row.title for row in methods if row.over_random and row.over_random.low <= 0]
        if lucky:
            said.append(f"Not shown to be better than a random map: {_listed(lucky)}.")
        blind = [row for row in methods if row.correlations and row.correlations[-1] > SAME]
        if blind:
            which = _listed([f"{row.title} ({row.correlations[-1]:.2f})" for row in blind if row.correlations])
            said.append(
                f"Hardly changed when all weights were random, so they show the picture, not the reason: {which}."
            )
        elif any(row.correlations for row in methods):
            said.append("Every method's map changed when all weights were random, as it must.")
        return said

    @property
    def sentence(self) -> str:
        """The finding in one paragraph."""
        return " ".join(self.sentences)

    def table(self) -> list[dict[str, str]]:
        """Return one row of text per method, columns that were not measured left out."""
        rows = []
        for row in self.rows:
            cells = {
                "method": row.title,
                "deletion": str(row.deletion),
                "insertion": str(row.insertion),
                "insertion - deletion": str(row.net),
                "pointing": str(row.pointing) if row.pointing else "",
                "inside boxes": str(row.inside) if row.inside else "",
                "weights random": f"{row.correlations[-1]:.2f}" if row.correlations else "",
                "s/picture": f"{row.seconds:.2f}" if not row.is_random else "",
            }
            rows.append(cells)
        return [{name: text for name, text in cells.items() if any(other[name] for other in rows)} for cells in rows]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data, with the sentence."""
        return {**asdict(self), "sentence": self.sentence}


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_IN_WORDS
    return ", ".join(names[:MOST_IN_WORDS]) + (f" and {more} more" if more > 0 else "")
