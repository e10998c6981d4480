"""The real images of a run, or of a folder without a run: their place, their split, and how to load them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthaug.config import Config
from synthaug.data.cache import LabelledFile, LabelledImages, load_images
from synthaug.data.conditions import Conditions, conditions_of, giveaways, read_conditions
from synthaug.data.fetched import copy_of
from synthaug.data.folder import scan
from synthaug.data.layout import SplitName
from synthaug.data.plan import check_targets
from synthaug.data.split import Split, check_trainable, split
from synthaug.errors import SynthaugError, shell_command
from synthaug.progress import Progress
from synthaug.runs import Run


@dataclass(frozen=True)
class RunData:
    """A data folder, divided into train, val and test.

    `targets` are the classes to generate images of; `fingerprint` is `Scan.fingerprint`; `run` is None for a folder
    without a run; `conditions` are those of `data.conditions`, if it names some.
    """

    folder: Path
    config: Config
    classes: list[str]
    targets: list[str]
    channels: int
    fingerprint: str
    split: Split
    run: Run | None = None
    conditions: Conditions | None = None

    @classmethod
    def open(cls, run: Run) -> RunData:
        """The images that a run was trained on. Nothing is fetched, for a run may come from anybody.

        Raises:
            SynthaugError: the data folder is gone, or the run is damaged.
        """
        facts = run.facts()
        folder, hint = facts.data, "put it back where it was during the training, or train again on another folder"
        if facts.data_url is not None and not folder.is_dir():
            folder, hint = copy_of(facts.data_url), f"fetch it again: {shell_command('inspect', facts.data_url)}"
        if not folder.is_dir():
            raise SynthaugError(f"the data folder {str(facts.data)!r} of the run {run.name!r} is gone", hint)
        return cls(
            folder=folder,
            config=run.config(),
            classes=facts.classes,
            targets=facts.targets,
            channels=facts.channels,
            fingerprint=facts.fingerprint,
            split=Split.read(run.split_file),
            run=run,
            conditions=stored_conditions(run),
        )

    @classmethod
    def of_folder(
        cls, folder: Path, target_class: str | Sequence[str], config: Config, *, strict: bool = False,
        cache: Path | None, progress: Progress,
    ) -> RunData:  # fmt: skip
        """Scan a folder and divide its images with this configuration. `strict`: see `scan`.

        Raises:
            SynthaugError: bad images, too few of them, or no such class or condition.
        """
        found = scan(folder, group_by=config.data.group_by, strict=strict, cache=cache, progress=progress)
        divided = split(found, config.data, config.split_seed, progress)
        check_trainable(found, divided)
        names = config.data.conditions
        encoder = config.data.text_encoder
        conditions = conditions_of(found.root, names, divided, found.classes, encoder) if names else None
        if encoder != "words" and not (conditions and any(column.kind == "text" for column in conditions.columns)):
            raise SynthaugError(
                f"data.text_encoder={encoder} is for texts, and no condition is one",
                "name a column of texts with --condition, or leave data.text_encoder out",
            )
        for name in [] if conditions is None else giveaways(conditions):
            progress.warn(
                f"the condition {name} tells the class: what it does within a class cannot be learned, and images of "
                "another class with its values are extrapolated"
            )
        for line in divided.warnings:
            progress.warn(line)
        return cls(
            folder=found.root.resolve(),
            config=config,
            classes=found.classes,
            targets=check_targets(target_class, divided.counts()["train"]),
            channels=found.channels if config.data.channels == "auto" else config.data.channels,
            fingerprint=found.fingerprint,
            split=divided,
            conditions=conditions,
        )

    @property
    def name(self) -> str:
        return f"the run {self.run.name!r}" if self.run is not None else f"the folder {str(self.folder)!r}"

    @property
    def target_indices(self) -> dict[str, int]:
        """Target class → its index."""
        return {name: self.classes.index(name) for name in self.targets}

    def images(
        self, side: SplitName, cache: Path | None, progress: Progress, *, resolution: int | None = None
    ) -> LabelledImages:
        """The images of one side of the split: `load` of its rows.

        Raises:
            SynthaugError: see `load_images`.
        """
        return self.load(self.folder, self.split.of(side), cache, progress, resolution=resolution)

    def load(
        self, root: Path, rows: Sequence[LabelledFile], cache: Path | None, progress: Progress, *,
        resolution: int | None = None,
    ) -> LabelledImages:  # fmt: skip
        """The images `rows` below `root`, which may be another folder, with this data's classes and channels.

        `resolution` is their side; None: that of the generator.

        Raises:
            SynthaugError: see `load_images`.
        """
        data = self.config.data
        return load_images(
            root,
            rows,
            self.classes,
            resolution=data.resolution if resolution is None else resolution,
            channels=self.channels,
            fit=data.fit,
            cache=cache,
            progress=progress,
        )


def stored_conditions(run: Run) -> Conditions | None:
    """The conditions that a run was trained with, if any.

    Raises:
        SynthaugError: the run is damaged.
    """
    facts = run.facts()
    if not facts.conditions:
        return None
    return read_conditions(run.conditions_file, facts.conditions, Split.read(run.split_file), facts.classes)
