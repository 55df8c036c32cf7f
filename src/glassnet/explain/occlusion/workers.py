"""Batches side by side: threads that each compute alone, which wastes less than threads that share each small product.

A layer's window is often too small to be split between cores. Two batches at a time keep both busy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Task = TypeVar("Task")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    """Yield work(task) of each task, in order; at most `workers` + 1 are begun or waiting to be taken.

    Each worker computes with one of torch's threads. What torch was set to is set again in the end.
    """
    if workers <= 1:
        yield from map(work, tasks)
        return
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, "glassnet-occlude", initializer=torch.set_num_threads, initargs=(1,))
    pending: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            pending.append(pool.submit(work, task))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:  # also when the consumer stops early
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
