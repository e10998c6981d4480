"""`evaluate --generators N` and `--replicates RUN,RUN`: more generators of the same images, with other seeds.

What one training of a generator gives is partly chance. With several, the intervals contain what differs between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthaug import runs as run_directories
from synthaug.config import Config
from synthaug.data.split import Split
from synthaug.dotted import leaves
from synthaug.errors import SynthaugError, shell_command
from synthaug.pipelines.more_runs import Wanted, scan_of, train_more
from synthaug.progress import Progress
from synthaug.runs import Run

FOLDER = "generators"
"""Inside the run: the further runs of `--generators`."""
_MAY_DIFFER = ("seed", "data.split_seed")


def trained_replicates(run: Run, generators: int, *, device: str, cache: Path | None, progress: Progress) -> list[Run]:
    """The run, and `generators` - 1 further ones of its images, split and configuration with the next seeds.

    Raises:
        SynthaugError: the data has changed, or the run started from another run.
        RunFailed: a training diverged.
        Interrupted: the same evaluation continues from there.
    """
    because = "and its replicates would have to start from it too"
    scan_of(run, because=because, option="--generators", cache=cache, progress=progress)
    config = run.config()
    seeds = [(config.seed + k) % 2**31 for k in range(1, generators)]
    wanted = [
        Wanted(_config(config, seed), f"seed{seed}", f"generator {number} of {generators}")
        for number, seed in enumerate(seeds, 2)
    ]
    return [run, *train_more(run, wanted, FOLDER, device=device, cache=cache, progress=progress)]


def _config(config: Config, seed: int) -> Config:
    tree = config.model_dump()
    tree["data"] |= {"split_seed": config.split_seed}
    return Config.model_validate(tree | {"seed": seed})


def given_replicates(run: Run, others: Sequence[str], root: Path | None) -> list[Run]:
    """The run and the others.

    Raises:
        SynthaugError: one does not exist, is given twice, or differs in more than its seed.
    """
    found = [run]
    for reference in others:
        other = run_directories.find(reference, root)
        if any(other.path.resolve() == one.path.resolve() for one in found):
            raise SynthaugError(f"the run {other.name!r} is given twice", "name each run once, and other runs than RUN")
        _check_alike(run, other)
        found.append(other)
    return found


def _check_alike(run: Run, other: Run) -> None:
    mine, its = run.facts(), other.facts()
    if (mine.fingerprint, mine.targets, mine.started_from) != (its.fingerprint, its.targets, its.started_from):
        raise SynthaugError(
            f"{other.name!r} is no replicate of {run.name!r}: it has other images, targets or starting weights",
            f"train one with: {shell_command('evaluate', run.path, generators=2)}",
        )
    ours, theirs = (leaves(one.config().model_dump(mode="json")) for one in (run, other))
    changed = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key) and key not in _MAY_DIFFER]
    if changed:
        key = changed[0]
        raise SynthaugError(
            f"{other.name!r} is no replicate of {run.name!r}: {key} is {theirs.get(key)!r}, not {ours.get(key)!r}",
            "give runs that differ in their seed only",
        )
    if ours["seed"] == theirs["seed"]:
        raise SynthaugError(
            f"{other.name!r} has the seed of {run.name!r}, {ours['seed']}: it is the same training",
            f"train one with: {shell_command('evaluate', run.path, generators=2)}",
        )
    if _sides(run) != _sides(other):
        again = shell_command("fit", mine.data, seed="N", set=f"data.split_seed={run.config().split_seed}")
        raise SynthaugError(
            f"{other.name!r} has another split than {run.name!r}, so it may have seen its test images",
            f"train it with the same split: {again}",
        )


def _sides(run: Run) -> set[tuple[str, str]]:
    return {(row.path, row.split) for row in Split.read(run.split_file).rows}
