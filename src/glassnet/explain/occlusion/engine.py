"""The engine: logits of the picture with an occluder at each of many positions, computing only what can have changed.

The unoccluded activations are computed once and kept. For each position, each layer is computed on the growing window
of its map that the occluder can reach, spliced into the kept map, many positions at a time; where the window covers
most of a map, and in the head, on the whole of it. The result is the naive loop's, to rounding.

The idea: Nakandala, Nagrecha, Kumar, Papakonstantinou 2019, "Incremental and approximate inference for faster
occlusion-based deep CNN explanations", SIGMOD (Krypton). Here: exact only; one size of window per batch with free
offsets, so that borders are no special case; grouping by phase; anything unknown is computed whole.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from glassnet.errors import InputError
from glassnet.explain.case import Progress, no_progress
from glassnet.explain.inside import Inside
from glassnet.explain.occlusion.lower import lower
from glassnet.explain.occlusion.memory import BYTES, bytes_each, bytes_kept, bytes_of_tiles, positions_within
from glassnet.explain.occlusion.operators import Local, Operator, Program, Total, Whole, Window, total_of
from glassnet.explain.occlusion.plan import Ints, Place, Span, batches, grouped, layout, period, spans
from glassnet.explain.occlusion.splice import Backdrop, everywhere, spliced
from glassnet.explain.occlusion.workers import side_by_side
from glassnet.models.network import Network

Content = Callable[[Ints], Tensor]
"""The occluder's pixels for some positions, by their numbers: (P, C, h, w) float in the network's input space."""

HEAD_BATCH = 256
"""Positions that pass the head together: dense layers are limited by reading their weights."""
HEAD_SHARE = 0.1
"""What of the memory the head's inputs may take."""
MOST_TOGETHER = 64
"""Positions in a batch of the body, at most."""
DEFAULT_MEMORY = 1000.0


@dataclass(frozen=True)
class Found:
    """What was found at each position: logits (P, K), and for each watched channel the sum over its map, (P, T)."""

    logits: Tensor
    sums: Tensor


class Engine:
    """A network and one picture, ready to be occluded.

    Args:
        network: the network, or one opened already.
        images: (1, C, H, W) float, as the preprocess makes it.
        watch: (layer's full name, channel) pairs, whose sums over the map `run` reports.
        memory: MB that kept activations and working windows may take (the weights not counted).
        workers: batches computed side by side, each with one thread; by default as many as torch has threads.
    """

    def __init__(
        self,
        network: Inside | Network,
        images: Tensor,
        *,
        watch: Sequence[tuple[str, int]] = (),
        memory: float = DEFAULT_MEMORY,
        workers: int | None = None,
    ) -> None:
        self.inside = network if isinstance(network, Inside) else Inside.of(network)
        if images.ndim != 4 or len(images) != 1:
            raise InputError(f"images have shape {tuple(images.shape)}; expected one picture, (1, C, H, W)")
        self.images = images.to(self.inside.device)
        self._watch = tuple(watch)
        self.memory = memory
        by_itself = torch.get_num_threads() if self.inside.device.type == "cpu" else 1
        self.workers = by_itself if workers is None else workers
        program = lower(self.inside, self.images, tuple(dict.fromkeys(name for name, _ in watch)))
        self.program, self.watched = _with_totals(program, watch)
        self._cut = _head_start(self.program)
        self._last = _last_readers(self.program, self._cut)
        self._backdrops: dict[tuple[int, float], Backdrop] = {}
        self._lock = threading.Lock()  # workers ask for backdrops
        features = self.program.values[self.program.operators[self._cut - 1].out]
        self._features = int(features.numel()) if isinstance(features, Tensor) else 0
        fitting = int(HEAD_SHARE * memory * 1e6 / (2 * BYTES * max(1, self._features))) if memory > 0 else 1
        self._head_batch = max(1, min(HEAD_BATCH, fitting))
        self.incremental = self._is_right()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return self.images.shape[2], self.images.shape[3]

    def logits(self, positions: Any, patch: Tensor) -> Tensor:
        """Return the logits (P, K) with `patch` at each of `positions` (P, 2): its top row and left column.

        patch: (C, h, w), or (P, C, h, w) for another one at each position; in the network's input space.
        """
        patches = patch.to(self.images)
        patches = patches[None].expand(len(positions), -1, -1, -1) if patches.ndim == 3 else patches
        size = (patches.shape[2], patches.shape[3])
        return self.run(positions, size, lambda numbers: patches[torch.from_numpy(numbers)]).logits

    def run(
        self, positions: Any, size: tuple[int, int], content: Content, *, progress: Progress = no_progress
    ) -> Found:
        """Occlude `size` (height, width) pixels with `content` at each of `positions` (P, 2), top row and left column.

        Raises `InputError` for a position where the occluder would leave the picture.
        """
        where = np.asarray(positions, dtype=np.int64).reshape(-1, 2)
        self._check_positions(where, size)
        if not self.incremental:
            return self._naive(where, size, content, progress)
        logits: list[tuple[Ints, Tensor]] = []
        sums = torch.zeros(len(where), len(self.watched), device=self.images.device)
        done = 0

        def work(batch: tuple[Ints, list[Place | None]]) -> tuple[Ints, Tensor, Tensor]:
            with torch.inference_mode():
                return batch[0], *self._body(batch[1], content(batch[0]))

        with torch.inference_mode():
            waiting: list[tuple[Ints, Tensor]] = []
            for numbers, features, totals in side_by_side(work, self._batches(where, size), self.workers):
                sums[torch.from_numpy(numbers)] = totals
                waiting.append((numbers, features))
                if sum(len(each) for each, _ in waiting) >= self._head_batch:
                    logits.append(self._head(waiting))
                    waiting = []
                done += len(numbers)
                progress(done, len(where))
            if waiting:
                logits.append(self._head(waiting))
            order = torch.from_numpy(np.argsort(np.concatenate([numbers for numbers, _ in logits])))
            return Found(torch.cat([found for _, found in logits])[order], sums)

    def _batches(self, where: Ints, size: tuple[int, int]) -> Iterator[tuple[Ints, list[Place | None]]]:
        rows, y = np.unique(where[:, 0], return_inverse=True)
        columns, x = np.unique(where[:, 1], return_inverse=True)
        vertical = spans(self.program, 0, rows, size[0])
        horizontal = spans(self.program, 1, columns, size[1])
        groups = (grouped(rows, period(self.program, 0)), grouped(columns, period(self.program, 1)))
        kept = bytes_kept(self.program) + 2 * BYTES * self._head_batch * self._features
        for alike in batches(*groups, y, x):
            places = layout(self.program, _each(vertical, y[alike]), _each(horizontal, x[alike]))
            each = bytes_each(self.program, self._cut, places, self._last)
            fixed = kept + self.workers * bytes_of_tiles(self.program, places)
            most = min(MOST_TOGETHER, positions_within(self.memory, fixed, each * (self.workers + 1)))
            for numbers in np.array_split(alike, -(-len(alike) // most)):
                if len(numbers) < len(alike):
                    places = layout(self.program, _each(vertical, y[numbers]), _each(horizontal, x[numbers]))
                yield numbers, places

    def _body(self, places: list[Place | None], patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the head reads for the positions of a batch, and the sums that are watched."""
        results: dict[int, Any] = {0: patches.contiguous(memory_format=torch.channels_last)}
        for index, operator in enumerate(self.program.operators[: self._cut]):
            results[operator.out] = self._step(operator, index, places, results)
            for read in operator.reads:
                if self._last[read] == index:
                    results.pop(read, None)
        count = len(patches)
        sums = [results[value][:, 0] for value in self.watched]
        totals = torch.stack(sums, 1) if sums else patches.new_zeros(count, 0)
        cut = self.program.operators[self._cut - 1].out if self._cut else 0
        return results[cut], totals

    def _head(self, waiting: list[tuple[Ints, Tensor]]) -> tuple[Ints, Tensor]:
        """Pass features on to the logits: dense layers and what is between them."""
        features = torch.cat([features for _, features in waiting])
        cut = self.program.operators[self._cut - 1].out
        results: dict[int, Any] = {cut: features}
        for operator in self.program.operators[self._cut :]:
            results[operator.out] = operator.whole(*(results[read] for read in operator.reads))
        return np.concatenate([numbers for numbers, _ in waiting]), results[self.program.logits]

    def _step(self, operator: Operator, index: int, places: list[Place | None], results: dict[int, Any]) -> Any:
        """Compute one operator for a batch."""
        at, reads = places[operator.out], operator.reads
        full = [self._is_full(places[read]) for read in reads]
        if isinstance(operator, Whole) and operator.shape_only:
            picture = self.program.values[reads[0]]
            return operator.whole(picture.expand(len(_known(places[0]).y), *picture.shape[1:]))
        if isinstance(operator, Total) and not full[0]:
            return self._total(operator, _known(places[reads[0]]), results[reads[0]])
        if all(full) and not isinstance(operator, Local):
            return _tidy(operator.whole(*(results[read] for read in reads)))
        if isinstance(operator, Window):
            return self._slide(operator, _known(places[reads[0]]), _known(at), results[reads[0]])
        if isinstance(operator, Local):
            operands = [self._moved(read, places[read], _known(at), results[read]) for read in reads]
            free = operands[0] is not results[reads[0]] or (self._last[reads[0]] == index and _alone(results, reads[0]))
            compute = operator.over if operator.over is not None and free else operator.whole
            return compute(*operands)
        operands = [self._unfolded(read, places[read], results[read]) for read in reads]
        return _tidy(operator.whole(*operands))

    def _slide(self, window: Window, source: Place, at: Place, patches: Tensor) -> Tensor:
        y, x = at.y * window.stride[0] - window.before[0], at.x * window.stride[1] - window.before[1]
        more = window.beyond((at.height, at.width))
        height, width = window.span(at.height + more[0], 0), window.span(at.width + more[1], 1)
        same = (height, width) == (source.height, source.width)
        if not (same and (y == source.y).all() and (x == source.x).all()):
            backdrop = self._backdrop(window.reads[0], window.fill)
            patches = spliced(patches, source, backdrop, y, x, height, width)
        out = window.inner(patches)[:, :, : at.height, : at.width]
        if window.scale is not None:
            scale = self._scale(window)
            out = out * scale.windows(at.y, at.x, at.height, at.width)
        return out

    def _scale(self, window: Window) -> Backdrop:
        key = (-window.out, 0.0)
        with self._lock:
            if key not in self._backdrops:
                assert window.scale is not None
                self._backdrops[key] = Backdrop(window.scale[None, None], 0.0)
            return self._backdrops[key]

    def _total(self, total: Total, at: Place, patches: Tensor) -> Tensor:
        """The sum over the unoccluded map, and what changed in the window."""
        value = total.reads[0]
        before = self._backdrop(value, 0.0).windows(at.y, at.x, at.height, at.width)
        base = self.program.values[value]
        if total.channel is not None:
            chosen = slice(total.channel, total.channel + 1)
            patches, before, base = patches[:, chosen], before[:, chosen], base[:, chosen]
        return total.shaped((total_of(base) + total_of(patches - before)) / total.divisor)

    def _moved(self, value: int, source: Place | None, at: Place, patches: Tensor) -> Tensor:
        """Return the changed part of a value in the windows `at`."""
        source = _known(source)
        if source.same(at):
            return patches
        return spliced(patches, source, self._backdrop(value, 0.0), at.y, at.x, at.height, at.width)

    def _unfolded(self, value: int, source: Place | None, patches: Any) -> Any:
        """Return a value's whole map for each position."""
        if self._is_full(source):
            return patches
        zero = everywhere(len(patches))
        return spliced(patches, _known(source), self._backdrop(value, 0.0), zero, zero, *self.program.size(value))

    def _backdrop(self, value: int, fill: float) -> Backdrop:
        with self._lock:
            if (value, fill) not in self._backdrops:
                self._backdrops[value, fill] = Backdrop(self.program.values[value], fill)
            return self._backdrops[value, fill]

    @staticmethod
    def _is_full(place: Place | None) -> bool:
        return place is None or place.full

    def _is_right(self) -> bool:
        """Tell whether the operators' logits for the whole picture are the network's own, and pictures stay apart."""
        norms = [part for part in self.inside.graph_module.modules() if isinstance(part, _BatchNorm)]
        if any(norm.running_mean is None for norm in norms):
            return False  # it norms by the batch it is in
        with torch.inference_mode():
            own = self.inside.graph_module(self.images.clone())
        found = self.program.values[self.program.logits]
        return torch.allclose(found, own, rtol=1e-3, atol=1e-4 * float(own.abs().max()))

    def _naive(self, where: Ints, size: tuple[int, int], content: Content, progress: Progress) -> Found:
        """Compute whole pictures, one at a time: for a network that writes over memory in ways the graph hides."""
        logits, sums = [], []
        with torch.inference_mode():
            for number, (y, x) in enumerate(where):
                covered = self.images.clone()
                covered[:, :, y : y + size[0], x : x + size[1]] = content(np.array([number]))
                kept = self.inside.play(covered, keep=[layer for layer, _ in self._watch]).kept
                sums.append(torch.tensor([float(kept[layer][0, channel].sum()) for layer, channel in self._watch]))
                logits.append(self.inside.graph_module(covered))
                progress(number + 1, len(where))
        return Found(torch.cat(logits), torch.stack(sums))

    def _check_positions(self, where: Ints, size: tuple[int, int]) -> None:
        if not len(where):
            raise InputError("positions are empty; expected at least one (top row, left column)")
        for axis, word in enumerate(("rows", "columns")):
            if size[axis] < 1 or size[axis] > self.size[axis]:
                raise InputError(f"the occluder has {size[axis]} {word}; expected 1 to the picture's {self.size[axis]}")
            last = self.size[axis] - size[axis]
            if where[:, axis].min() < 0 or where[:, axis].max() > last:
                bad = next(v for v in where[:, axis].tolist() if not 0 <= v <= last)
                raise InputError(f"an occluder of {size[axis]} {word} starts at {bad}; expected 0 to {last}")


def _alone(results: dict[int, Any], value: int) -> bool:
    """Tell whether no other result that is still wanted looks at the memory of `value`."""
    memory = results[value].untyped_storage().data_ptr()
    return all(memory not in _memories(other) for number, other in results.items() if number != value)


def _memories(result: Any) -> list[int]:
    parts = result if isinstance(result, tuple | list) else [result]
    return [part.untyped_storage().data_ptr() for part in parts if isinstance(part, Tensor)]


def _known(place: Place | None) -> Place:
    assert place is not None
    return place


def _tidy(value: Any) -> Any:
    """Lay maps out channels_last; anything else stays as it is."""
    if isinstance(value, Tensor) and value.ndim == 4:
        return value.contiguous(memory_format=torch.channels_last)
    return value


def _each(found: list[Span | None], places: Ints) -> list[Span | None]:
    return [None if span is None else span.of(places) for span in found]


def _with_totals(program: Program, watch: Sequence[tuple[str, int]]) -> tuple[Program, tuple[int, ...]]:
    """Return the program with a sum for each watched channel, and the sums' numbers."""
    operators, values = list(program.operators), list(program.values)
    numbers = []
    for layer, channel in watch:
        value = program.named[layer]
        total = Total(reads=(value,), out=len(values), whole=_sum_of(channel), channel=channel)
        maker = next((place for place, each in enumerate(operators) if each.out == value), -1)
        operators.insert(maker + 1, total)
        values.append(total.whole(values[value]))
        numbers.append(total.out)
    wanted = {program.logits, *numbers}
    needed: list[Operator] = []
    for operator in reversed(operators):  # what nobody reads is not computed
        if operator.out in wanted:
            needed.insert(0, operator)
            wanted.update(operator.reads)
    return replace(program, operators=tuple(needed), values=tuple(values)), tuple(numbers)


def _sum_of(channel: int) -> Callable[[Tensor], Tensor]:
    return lambda maps: total_of(maps[:, channel : channel + 1])


def _head_start(program: Program) -> int:
    """Return the first operator of the head: from there on all that is read are vectors made from one vector."""
    last = len(program.operators)
    for start in range(1, last):
        fed = program.operators[start - 1].out
        value = program.values[fed]
        if isinstance(value, Tensor) and value.ndim == 2:
            reads = {read for operator in program.operators[start:] for read in operator.reads}
            if all(read >= fed for read in reads):
                return start
    return last


def _last_readers(program: Program, cut: int) -> dict[int, int]:
    """Return for each value the last operator of the body that reads it; what is wanted later has none."""
    last = {read: index for index, operator in enumerate(program.operators) for read in operator.reads}
    last[program.operators[cut - 1].out] = len(program.operators)
    return last
