"""How this process was started: alone, or as one of several by `torchrun`, SLURM or the first process."""

from __future__ import annotations

import os

from synthaug.errors import SynthaugError

_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def follows() -> bool:
    """Whether this process was started as another one than the first; known before they have joined."""
    return any(os.environ.get(name, "0") != "0" for name in _RANKS)


def asked_for() -> tuple[int, int]:
    """Processes on this node, and nodes, as `torchrun` or SLURM started them; (1, 1) without them.

    Raises:
        SynthaugError: SLURM was not told how many processes each node has.
    """
    environ = os.environ
    if "TORCHELASTIC_RUN_ID" in environ:
        local = int(environ["LOCAL_WORLD_SIZE"])
        return local, int(environ["WORLD_SIZE"]) // local
    if int(environ.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in environ:
        nodes, tasks = int(environ.get("SLURM_NNODES", "1")), int(environ["SLURM_NTASKS"])
        if "SLURM_NTASKS_PER_NODE" not in environ:
            hint = f"say how many each node has: srun --nodes={nodes} --ntasks-per-node={max(1, tasks // nodes)} …"
            raise SynthaugError(f"SLURM started {tasks} processes with --ntasks", hint)
        return tasks // nodes, nodes
    return 1, 1
