"""Runs that an evaluation needs beside its own: they are trained inside its run's folder, once.

Finished ones are used again, an interrupted one continues from its checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthaug import runs as run_directories
from synthaug.config import Config
from synthaug.data.folder import Scan, scan
from synthaug.data.run_data import RunData
from synthaug.dotted import leaves
from synthaug.errors import Interrupted, RunFailed, SynthaugError
from synthaug.pipelines.fit import fit
from synthaug.progress import Progress
from synthaug.runs import Run


@dataclass(frozen=True)
class Wanted:
    """A run to train: its configuration, the name of its folder, and how messages call it ("fold 2 of 5")."""

    config: Config
    name: str
    called: str


def scan_of(run: Run, *, because: str, option: str, cache: Path | None, progress: Progress) -> Scan:
    """Scan the data of a run of which more runs are to be trained.

    Args:
        because: why its starting point would matter, for an error.
        option: that asked for more runs.

    Raises:
        SynthaugError: the data has changed, or the run started from another run.
    """
    whole = RunData.open(run)
    if (start := run.facts().started_from) is not None:
        raise SynthaugError(
            f"the run {run.name!r} started from {str(start.run)!r}, {because}",
            f"train a run without --from, or evaluate without {option}",
        )
    scanned = scan(whole.folder, group_by=whole.config.data.group_by, cache=cache, progress=progress)
    if scanned.fingerprint != whole.fingerprint:
        raise SynthaugError(
            f"the images in {str(whole.folder)!r} are not those that {run.name!r} was trained on",
            "put them back, or train a new run on the present ones",
        )
    return scanned


def train_more(
    run: Run, wanted: Sequence[Wanted], folder: str, *, device: str, cache: Path | None, progress: Progress
) -> list[Run]:
    """Train the runs that are not trained yet, on the data and targets of a run.

    Args:
        run: whose data, targets and folder they share.
        wanted: the runs.
        folder: inside the run, for them.
        device: where they train.
        cache: where decoded images are kept.
        progress: where to report.

    Raises:
        RunFailed: a training diverged.
        Interrupted: the same evaluation continues from there.
    """
    facts = run.facts()
    found = []
    for one in wanted:
        there = _finished(run.path / folder, one.config, facts.targets, facts.fingerprint)
        if there is None:
            progress.say(f"{one.called}: training its generator")
            try:
                made = fit(
                    RunData.open(run).folder, target_class=facts.targets,
                    set=leaves(one.config.model_dump(mode="json")), name=one.name,
                    runs=run.path / folder, resume="auto", device=device, cache=cache, progress=progress,
                )  # fmt: skip
            except Interrupted as stop:
                raise Interrupted(f"{one.called}: {stop.message}", stop.hint, stop.exit_status) from stop
            except RunFailed as failed:
                raise RunFailed(f"{one.called}: {failed.message}", failed.hint) from failed
            there = Run(Path(made.run))
        found.append(there)
    return found


def _finished(root: Path, config: Config, targets: list[str], fingerprint: str) -> Run | None:
    for run in reversed(run_directories.all_runs(root)):
        try:
            facts = run.facts()
            equal = (run.config(), facts.targets, facts.fingerprint) == (config, targets, fingerprint)
            if equal and run.status().get("state") == "finished":
                return run
        except SynthaugError:
            continue  # a crash left it before its first status
    return None
