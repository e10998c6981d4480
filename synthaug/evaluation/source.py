"""Where an evaluation's real images come from: a run, with the split that it was trained on, or a mere folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthaug.config import Config
from synthaug.data.folder import scan
from synthaug.data.plan import check_targets
from synthaug.data.split import Split, check_trainable, split
from synthaug.errors import SynthaugError
from synthaug.progress import Progress
from synthaug.runs import Run


@dataclass(frozen=True)
class Source:
    """A divided folder of images, and how they are looked at; `run` is None where no generator of ours is judged."""

    data: Path
    config: Config
    classes: list[str]
    targets: list[str]
    channels: int
    split: Split
    run: Run | None = None

    @property
    def name(self) -> str:
        return f"the run {self.run.name!r}" if self.run is not None else f"the folder {str(self.data)!r}"


def run_source(run: Run) -> Source:
    """What a run was trained on.

    Raises:
        SynthaugError: the data folder is gone, or the run is damaged.
    """
    facts = run.facts()
    data = Path(facts["data"])
    if not data.is_dir():
        raise SynthaugError(
            f"the data folder {str(data)!r} of run {run.name!r} is gone", "put it back where it was during the fit"
        )
    return Source(
        data=data,
        config=run.config(),
        classes=list(facts["classes"]),
        targets=list(facts["targets"]),
        channels=int(facts["channels"]),
        split=Split.read(run.split_file),
        run=run,
    )


def folder_source(
    data: Path, target_class: str | Sequence[str], config: Config, *, cache: Path | None, progress: Progress
) -> Source:
    """A folder, divided as `fit` would divide it with this configuration.

    Raises:
        SynthaugError: bad images, too few of them, or no such class.
    """
    found = scan(data, group_by=config.data.group_by, cache=cache, progress=progress)
    parts = split(found, config.data, config.seed)
    check_trainable(found, parts)
    targets = check_targets(target_class, parts.counts()["train"])
    if not targets:
        raise SynthaugError(
            f"no class of {str(data)!r} is rare, and no target class was given", "name one with --target-class"
        )
    for line in parts.warnings:
        progress.warn(line)
    channels = found.channels if config.data.channels == "auto" else config.data.channels
    return Source(found.root.resolve(), config, found.classes, targets, channels, parts)
