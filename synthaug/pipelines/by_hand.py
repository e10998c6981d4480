"""Which decisions by hand `export` and `evaluate` follow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthaug.documents import ByHand
from synthaug.errors import SynthaugError, plural, shell_command
from synthaug.exporters.manifest import METADATA, Manifest, read_rows
from synthaug.progress import Progress
from synthaug.requests.options import OFF, HasDecisions
from synthaug.runs import Run, find
from synthaug.sampling import curation
from synthaug.sampling.curation import Choice, Images


def choice_of(request: HasDecisions, run: Run, images: Images, progress: Progress) -> Choice | None:
    """The decisions about these images of a run that a request asks for; None if there are none.

    Raises:
        SynthaugError: the file is missing, damaged or about other images, or no image was accepted.
    """
    if request.curation == OFF:
        return None
    found = curation.read(run, images, request.curation)
    decided = {label: found.counts(label) for label in found.decisions}
    if request.only_accepted and not any(counts.accepted for counts in decided.values()):
        raise SynthaugError(
            f"--only-accepted: no image of {run.name!r} ({images.checkpoint}, seed {images.seed}) was accepted by hand",
            f"accept some: {shell_command('curate', run.reference())}",
        )
    if not any(decided.values()):
        if others := kept_files(run):
            progress.warn(
                f"{others} of decisions by hand in {str(run.path / curation.FOLDER)!r}: about images of another "
                "checkpoint or seed, so not used"
            )
        return None
    said = "; ".join(f"{label}: {counts.text()}" for label, counts in decided.items() if counts)
    progress.say(
        f"decisions by hand: {said}"
        + (". Of these classes, only accepted images are used" if request.only_accepted else "")
    )
    return Choice(curation=found, only_accepted=request.only_accepted)


def kept_files(run: Run) -> str | None:
    """How many files of decisions a run keeps, in words; None if it keeps none."""
    count = len(list((run.path / curation.FOLDER).glob("kimg*.json")))
    return plural(count, "file") if count else None


def images_of(manifest: Manifest) -> Images:
    """The images that an export chose from."""
    return Images(
        checkpoint=manifest.run.checkpoint, checkpoint_sha256=manifest.run.checkpoint_sha256, seed=manifest.seed,
        truncation=manifest.truncation, mode=manifest.mode, inputs=curation.maps_digest(manifest.inputs),
    )  # fmt: skip


def run_of(manifest: Manifest, runs: Path | None) -> Run:
    """The run of an export.

    Raises:
        SynthaugError: it is gone.
    """
    path = Path(manifest.run.path)
    return Run(path) if runs is None and (path / "config.yaml").is_file() else find(manifest.run.name, runs)


def left_out(export: Path, choice: Choice) -> tuple[set[tuple[str, str]], dict[str, ByHand]]:
    """What decisions by hand leave out of an export: (class, pixel hash) of images, and counts for each class."""
    out: set[tuple[str, str]] = set()
    shown: dict[str, list[int]] = {}
    for _, row in read_rows(export / "train" / METADATA):
        if row.get("synthetic") is True:
            label, index = str(row["label"]), int(row["sample_index"])
            shown.setdefault(label, []).append(index)
            if choice.reason(label, index) is not None:
                out.add((label, str(row["pixel_sha256"])))
    counts = {label: choice.curation.counts(label, indices) for label, indices in shown.items()}
    return out, {label: found for label, found in counts.items() if found}


def counted(choice: Choice, labels: Sequence[str]) -> dict[str, ByHand]:
    """Class → decisions about its images, for the classes that have some."""
    counts = {label: choice.curation.counts(label) for label in labels}
    return {label: found for label, found in counts.items() if found}
