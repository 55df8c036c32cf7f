"""Where the numbers are computed: device, precision, threads, and a description of the machine for the record."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch

import glassnet
from glassnet.errors import InputError, UnknownName

PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """Return the device called `name`; "auto" is the accelerator where there is one (CUDA, MPS, XPU...), else the CPU.

    Raises `InputError` for a name torch does not know, or a device this machine does not have.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device is {name!r}; expected auto, cpu, cuda, cuda:1, mps ...") from error
    if device.type in ("cpu", "meta"):
        return device
    if accelerator is None or device.type != accelerator.type:
        have = "cpu" if accelerator is None else f"cpu, {accelerator.type}"
        raise InputError(f"device is {str(device)!r}, but this machine and this torch have only: {have}")
    count = torch.accelerator.device_count()
    if device.index is not None and device.index >= count:
        raise InputError(f"device is {str(device)!r}, but there are {count}, numbered from 0")
    return device


def autocast_dtype(device: torch.device, precision: str = "auto") -> torch.dtype | None:
    """Return the type for `torch.autocast` on `device`, or None for plain float32.

    "auto" is bfloat16 where the hardware multiplies it at full speed (CUDA from Ampere on, CPUs with AMX tiles) and
    float32 elsewhere: on a CPU without AMX bfloat16 is emulated and slower. Raises `InputError` for a precision that
    is unknown, and for fp16 on a CPU, where torch has no fast kernels for it.
    """
    if precision not in PRECISIONS:
        raise UnknownName("precision", precision, PRECISIONS, hint=f"it is one of: {', '.join(PRECISIONS)}")
    if precision == "auto":
        return torch.bfloat16 if _multiplies_bfloat16(device) else None
    if precision == "fp16" and device.type == "cpu":
        raise InputError("precision is fp16, which a CPU does not compute quickly; use auto, bf16 or fp32")
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())


def set_threads(count: int | None) -> int:
    """Let torch compute with `count` CPU threads (None leaves its choice); return how many it uses now."""
    if count is not None:
        if not isinstance(count, int) or count < 1:
            raise InputError(f"threads is {count!r}; expected a whole number of at least 1")
        torch.set_num_threads(count)
    return torch.get_num_threads()


@cache
def reuse_memory() -> bool:
    """Let the C library keep the memory of freed tensors for the next ones; return whether it listened.

    By default glibc maps every large tensor afresh and gives it back when it is freed, so that each step of a training
    pays for the same pages again: about a fifth of a small network's step. What is kept is at most the process's own
    peak. Only glibc has these settings; elsewhere this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(option, value) == 1 for option, value in _KEEP_FREED_MEMORY)


# malloc.h: never map a block by itself (M_MMAP_MAX), never trim the heap (M_TRIM_THRESHOLD), grow it by 64 MB at a time
_KEEP_FREED_MEMORY = ((-4, 0), (-1, 2**31 - 1), (-2, 64 * 2**20))  # (M_TOP_PAD)


def versions() -> dict[str, str]:
    """Return the versions that shape a result: glassnet's, torch's and Python's."""
    return {"glassnet": glassnet.__version__, "torch": torch.__version__, "python": platform.python_version()}


def describe_machine() -> dict[str, Any]:
    """Return what a record of a measurement must say: processor, cores, threads, accelerator, platform, versions."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return {
        "cpu": _processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": _accelerator_name(accelerator),
        "platform": platform.platform(),
        **versions(),
    }


def _processor_name() -> str:
    """The marketing name where Linux tells it, else what Python knows."""
    table = Path("/proc/cpuinfo")
    if table.exists():
        for line in table.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _accelerator_name(accelerator: torch.device | None) -> str | None:
    if accelerator is None:
        return None
    return torch.cuda.get_device_name(accelerator) if accelerator.type == "cuda" else accelerator.type
