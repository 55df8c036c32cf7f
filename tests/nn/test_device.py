"""Devices, precision and threads: what is chosen, and what is refused in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from glassnet.errors import InputError, UnknownName
from glassnet.nn.device import autocast_dtype, describe_machine, pick_device, set_threads, versions


@pytest.fixture
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: None)  # noqa: ARG005


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: gpu)  # noqa: ARG005
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)


@pytest.mark.usefixtures("no_accelerator")
def test_without_an_accelerator_auto_is_the_cpu() -> None:
    assert pick_device() == pick_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="device is 'cuda', but this machine and this torch have only: cpu"):
        pick_device("cuda")


@pytest.mark.usefixtures("two_gpus")
def test_with_gpus_auto_is_one_of_them() -> None:
    assert pick_device().type == "cuda"
    assert pick_device("cuda:1") == torch.device("cuda:1")
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="'cuda:2', but there are 2"):
        pick_device("cuda:2")
    with pytest.raises(InputError, match="'mps', but this machine and this torch have only: cpu, cuda"):
        pick_device("mps")


def test_a_device_torch_does_not_know_is_refused() -> None:
    with pytest.raises(InputError, match="device is 'gpu'; expected auto, cpu, cuda"):
        pick_device("gpu")


@pytest.mark.parametrize("tiles, expected", [(True, torch.bfloat16), (False, None)])
def test_auto_on_a_cpu_follows_its_tiles(
    monkeypatch: pytest.MonkeyPatch, tiles: bool, expected: torch.dtype | None
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    assert autocast_dtype(torch.device("cpu")) == expected


@pytest.mark.parametrize("able, expected", [(True, torch.bfloat16), (False, None)])
def test_auto_on_cuda_follows_its_hardware(
    monkeypatch: pytest.MonkeyPatch, able: bool, expected: torch.dtype | None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: able)  # noqa: ARG005
    assert autocast_dtype(torch.device("cuda")) == expected


def test_a_named_precision_is_that_precision() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert autocast_dtype(cpu, "fp32") is None
    assert autocast_dtype(cpu, "bf16") == torch.bfloat16
    assert autocast_dtype(cuda, "fp16") == torch.float16
    assert autocast_dtype(torch.device("mps")) is None
    with pytest.raises(InputError, match="fp16, which a CPU does not compute quickly"):
        autocast_dtype(cpu, "fp16")
    with pytest.raises(UnknownName, match="no precision is called 'fp8'; nearest: "):
        autocast_dtype(cpu, "fp8")


def test_threads_are_set_and_checked() -> None:
    before = torch.get_num_threads()
    try:
        assert set_threads(1) == torch.get_num_threads() == 1
        assert set_threads(None) == 1
    finally:
        torch.set_num_threads(before)
    for wrong in (0, -2, 1.5):
        with pytest.raises(InputError, match="expected a whole number of at least 1"):
            set_threads(wrong)  # type: ignore[arg-type]


def test_the_machine_is_described_in_plain_data() -> None:
    described = json.loads(json.dumps(describe_machine()))
    assert described["cpu"]
    assert described["threads"] == torch.get_num_threads()
    assert versions().items() <= described.items()
    assert described["torch"] == torch.__version__


PAGES_OF_TEN_TENSORS = """
import resource, torch
from glassnet.nn.device import reuse_memory
assert reuse_memory()
def fresh_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(32 * 2**20 // 4)  # 32 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
fresh_pages()  # until the heap has its size
print(fresh_pages())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the settings are glibc's")
def test_memory_of_freed_tensors_is_used_again() -> None:
    done = subprocess.run([sys.executable, "-c", PAGES_OF_TEN_TENSORS], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 8192  # the pages of one tensor, not of ten
