"""Why a found box is wrong, why an object is not found, and what each kind of mistake costs.

The kinds, their limits and what it means to put one right are TIDE's (Bolya et al. 2020, "TIDE: a general toolbox for
identifying object detection errors", arXiv:2008.08115, section 2). A box is placed well from an IoU of 0.5 with an
object on, and is on no object at all below 0.1. In this order, a box that is not right is a mistake of

    localisation: it is on an object of its class, but placed badly;
    class: it is placed well on an object of another class;
    duplicate: it is placed well on an object of its class that a surer box has already found;
    both: it is placed badly on an object of another class;
    background: it is on nothing.

An object is missed that no box finds and that no mistake of localisation or class is on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glassnet.detection.judging.coco import at_recalls, falling, objects_to_find
from glassnet.detection.judging.matching import Matches, Pairs, overlaps
from glassnet.detection.judging.rows import Flags, Floats, Numbers, Rows

FOREGROUND, BACKGROUND = 0.5, 0.1
WRONG = ("localisation", "class", "duplicate", "both", "background")
"""What a found box may be wrong for."""
KINDS = (*WRONG, "missed")
VERDICTS = (*WRONG, "correct", "ignored")
"""What can be said of a found box; ignored: it is on an object that counts neither way."""
CORRECT, IGNORED = VERDICTS.index("correct"), VERDICTS.index("ignored")


@dataclass(frozen=True)
class Mistakes:
    """verdict (N,): of each found box its number in `VERDICTS`, -1 for one that was not judged. truth (N,): the true
    box that the verdict is about, -1 for none; iou (N,): with it. found_by (M,): the right box of each true one, -1
    for none. missed (M,)."""

    verdict: Numbers
    truth: Numbers
    iou: Floats
    found_by: Numbers
    missed: Flags

    def counts(self, boxes: Flags | slice = slice(None), objects: Flags | slice = slice(None)) -> dict[str, int]:
        """Return how many mistakes of each of `KINDS` there are, of some `boxes` (N,) and `objects` (M,)."""
        verdict = self.verdict[boxes]
        wrong = {kind: int((verdict == number).sum()) for number, kind in enumerate(WRONG)}
        return {**wrong, "missed": int(self.missed[objects].sum())}


def find_mistakes(rows: Rows, matches: Matches, kept: Flags | None = None) -> Mistakes:
    """Judge the found boxes that are `kept` (N,), or all, by what they take at IoU 0.5 and in all sizes.

    matches: the first of its area ranges and thresholds must be those. To keep all from some score of their class on
    changes nothing for them: a box is matched before all that are less sure.
    """
    kept = np.ones(len(rows.found), np.bool_) if kept is None else kept
    taken, right = matches.taken[0, 0], matches.right[0, 0] & kept
    found_by = np.full(len(rows.truth), -1, np.int64)
    found_by[taken[right]] = np.flatnonzero(right)
    pairs = _with_objects(rows, overlaps(rows, BACKGROUND, across_classes=True))
    own = rows.found.label[pairs.found] == rows.truth.label[pairs.truth]
    same, same_truth = _best(pairs, own, len(rows.found))
    other, other_truth = _best(pairs, ~own, len(rows.found))
    beside = same >= BACKGROUND
    verdict = np.select(
        [beside & (same < FOREGROUND), other >= FOREGROUND, same >= FOREGROUND, other > BACKGROUND],
        [WRONG.index(kind) for kind in ("localisation", "class", "duplicate", "both")],
        WRONG.index("background"),
    )
    about_other = (verdict == WRONG.index("class")) | (verdict == WRONG.index("both"))
    iou, truth = np.where(about_other, other, same), np.where(about_other, other_truth, same_truth)
    verdict[matches.ignored[0, 0]], verdict[right], verdict[~kept] = IGNORED, CORRECT, -1
    truth[right] = taken[right]
    every = overlaps(rows, FOREGROUND)  # of a right box the overlap with what it takes, not with what it overlaps most
    of_right = right[every.found] & (taken[every.found] == every.truth)
    iou[every.found[of_right]] = every.iou[of_right]
    truth[verdict == IGNORED], iou[verdict == IGNORED] = -1, 0.0
    repairable = np.isin(verdict, [WRONG.index("localisation"), WRONG.index("class")])
    missed = rows.truth.counted & (found_by < 0)
    missed[truth[repairable]] = False
    return Mistakes(verdict, truth, iou, found_by, missed)


def _with_objects(rows: Rows, pairs: Pairs) -> Pairs:
    """Return the pairs whose true box counts."""
    counted = rows.truth.counted[pairs.truth]
    return Pairs(pairs.found[counted], pairs.truth[counted], pairs.iou[counted])


def _best(pairs: Pairs, which: Flags, boxes: int) -> tuple[Floats, Numbers]:
    """Return the highest overlap (N,) of each found box among some of the pairs, and with which true box; 0 and -1."""
    found, truth, iou = pairs.found[which], pairs.truth[which], pairs.iou[which]
    last = np.flatnonzero(np.diff(found, append=-1))  # pairs of a box stand in the order of rising overlap
    best, of = np.zeros(boxes), np.full(boxes, -1, np.int64)
    best[found[last]], of[found[last]] = iou[last], truth[last]
    return best, of


def costs(rows: Rows, matches: Matches) -> dict[str, float]:
    """Return by how much mAP at IoU 0.5 would rise if all mistakes of one of `KINDS`, and no others, were put right.

    Localisation and class: the surest mistaken box of an object that no box finds becomes right; the others of the kind
    go. Duplicate, both, background: the boxes go. Missed: the objects need not be found. Never below 0.
    """
    mistakes = find_mistakes(rows, matches)
    objects = objects_to_find(rows, matches)[0].astype(np.float64)
    judged = mistakes.verdict != IGNORED
    right = mistakes.verdict == CORRECT
    now = _map(rows, rows.found.label, judged, right, objects, objects)
    rise = {}
    for number, kind in enumerate(WRONG):
        wrong = mistakes.verdict == number
        repaired = _repaired(rows, mistakes, wrong) if kind in ("localisation", "class") else np.zeros_like(wrong)
        label = rows.found.label.copy()
        label[repaired] = rows.truth.label[mistakes.truth[repaired]]
        rise[kind] = _map(rows, label, judged & ~(wrong & ~repaired), right | repaired, objects, objects) - now
    left = objects - np.bincount(rows.truth.label[mistakes.missed], minlength=len(objects))
    rise["missed"] = _map(rows, rows.found.label, judged, right, left, objects) - now
    return {kind: max(0.0, value) for kind, value in rise.items()}


def _repaired(rows: Rows, mistakes: Mistakes, wrong: Flags) -> Flags:
    """Of the `wrong` boxes (N,) the surest one of each object that no box finds."""
    candidates = np.flatnonzero(wrong & (mistakes.truth >= 0))
    candidates = candidates[mistakes.found_by[mistakes.truth[candidates]] < 0]
    candidates = candidates[np.argsort(-rows.found.score[candidates], kind="stable")]
    _, first = np.unique(mistakes.truth[candidates], return_index=True)
    repaired = np.zeros_like(wrong)
    repaired[candidates[first]] = True
    return repaired


def _map(rows: Rows, label: Numbers, judged: Flags, right: Flags, to_find: Floats, objects: Floats) -> float:
    """Return mAP over the classes that have `objects` (K,), of which `to_find` (K,) are left to find."""
    order = np.argsort(-rows.found.score, kind="stable")
    order = order[judged[order]]
    each = []
    for number in np.flatnonzero(objects):
        hits = right[order[label[order] == number]].cumsum().astype(np.float64)
        precision = falling(hits / np.arange(1, len(hits) + 1))
        each.append(at_recalls(hits / to_find[number], precision).mean() if to_find[number] else 1.0)
    return float(np.mean(each))
