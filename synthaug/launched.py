"""How this process was started: alone, or as one of several by `torchrun`, SLURM or the first process."""

from __future__ import annotations

import os

_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def follows() -> bool:
    """Whether this process was started as another one than the first; known before they have joined."""
    return any(os.environ.get(name, "0") != "0" for name in _RANKS)


def asked_for() -> tuple[int, int]:
    """Processes on this node, and nodes, as `torchrun` or SLURM started them; (1, 1) without them."""
    environ = os.environ
    if "TORCHELASTIC_RUN_ID" in environ:
        local = int(environ["LOCAL_WORLD_SIZE"])
        return local, int(environ["WORLD_SIZE"]) // local
    if int(environ.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in environ:
        nodes = int(environ.get("SLURM_NNODES", "1"))
        return int(environ["SLURM_NTASKS"]) // nodes, nodes
    return 1, 1
