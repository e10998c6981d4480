"""Devices by name, and whether a device is fast in bfloat16."""

from __future__ import annotations

from pathlib import Path

import torch

from synthaug.errors import SynthaugError, suggest

_CONTAINER = Path("/sys/fs/cgroup")


def resolve_device(device: str | torch.device) -> torch.device:
    """The device called `auto` (CUDA, or else Apple's MPS, or else the CPU), `cpu`, `cuda`, `cuda:1` or `mps`.

    Raises:
        SynthaugError: the device is unknown, or this machine has none.
    """
    if isinstance(device, torch.device):
        return device
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind = device.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise SynthaugError(f"there is no device {device!r}", suggest(device, ["auto", "cpu", "cuda", "mps"]))
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[kind]:
        message = f"the device {device!r} is not available on this machine"
        raise SynthaugError(message, "use --device auto or --device cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise SynthaugError(f"there is no device {device!r}", "write it like cpu, cuda, cuda:1 or mps") from error


def has_bf16(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 are faster than in float32: the device has units for it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        units = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch 2.4 cannot tell
        return any(getattr(torch.cpu, unit, bool)() for unit in units)
    return False


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a GPU, or on this machine within the limits of its container; None if that is unknown."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    try:
        limit, used = (
            int((_CONTAINER / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current")
        )
    except (OSError, ValueError):  # no container, or no limit
        return free
    return min(free, max(limit - used, 0))
