"""Features: what a frozen body says of every picture, computed once and cached, so that a probe trains in seconds."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glassnet.data.batches import evaluation_batches
from glassnet.data.pictures import Pictures
from glassnet.errors import InputError
from glassnet.files import FolderLock, cache_folder, cache_limit, make_room, replace_durably, storage_errors, write_text
from glassnet.training.progress import Display

Predictor = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) float32, as the preprocess makes them -> features (N, D)."""

BATCH = 16  # pictures per forward pass; small enough that the activations of 224-pixel pictures stay in the cache
FLUSH_EVERY = 30.0  # seconds of computing that a kill can lose


def features(
    predictor: Predictor, pictures: Pictures, items: NDArray[np.int64], *, key: str, display: Display
) -> NDArray[np.float32]:
    """Return the features (n, D) float32 of the `items` of `pictures`, from the cache where they were computed before.

    key: names the predictor: its weights and precision. The cache's name also holds the pictures' fingerprint, the
    preprocess and the items. Rows are flushed every half minute, and a computation that was killed goes on there.
    """
    named = [
        key,
        pictures.index.fingerprint,
        pictures.preprocess.to_dict(),
        hashlib.sha256(items.tobytes()).hexdigest(),
    ]
    folder = cache_folder("features", hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:32])
    path = folder / "features.npy"
    with FolderLock(folder, wait=3600.0 * 24):
        if not path.exists():
            _compute(predictor, pictures, items, folder, display)
            make_room(folder.parent, "*/features.npy", cache_limit(), keep=path)
        os.utime(path)  # the least recently used features are the first to go
        return np.asarray(np.load(path, mmap_mode="r"))


def _compute(
    predictor: Predictor, pictures: Pictures, items: NDArray[np.int64], folder: Path, display: Display
) -> None:
    """Fill `folder`/features.npy, going on behind the rows that `done.json` counts."""
    part, mark = folder / "part.npy", folder / "done.json"
    done = int(json.loads(mark.read_text())["rows"]) if part.exists() and mark.exists() else 0
    table: np.memmap[tuple[int, ...], np.dtype[np.float32]] | None = None
    display.start(len(items), done)
    flushed = time.perf_counter()
    with storage_errors(part), torch.inference_mode():
        if done:
            table = np.lib.format.open_memmap(part, mode="r+")
        for batch in evaluation_batches(pictures, items[done:], BATCH):
            rows = predictor(batch.images).float().cpu().numpy()  # (n, D)
            if table is None:
                table = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=(len(items), rows.shape[1]))
            table[done : done + len(rows)] = rows
            done += len(rows)
            if display.due():
                display.show(done, f"features  {done:,}/{len(items):,}")
            if time.perf_counter() - flushed > FLUSH_EVERY:
                table.flush()
                write_text(mark, json.dumps({"rows": done}))
                flushed = time.perf_counter()
        if table is None:
            raise InputError("there are no pictures to compute features of")
        table.flush()
        replace_durably(part, folder / "features.npy")
    mark.unlink(missing_ok=True)
    display.close()


def weights_key(module: nn.Module) -> str:
    """Return a hash of a module's weights, 32 hex digits."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in module.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()
