"""Decisions by hand: which generated images a person has accepted or rejected. They are kept in the run.

A file holds decisions about the images of one generator, seed and truncation, by class and index: image i of a class is
always the same one. Images of another checkpoint or seed are others, and have a file of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synthaug.data.maps import OwnMaps
from synthaug.documents import ByHand
from synthaug.documents.base import in_words
from synthaug.errors import SynthaugError
from synthaug.files import digest, write_json
from synthaug.models.inputs import CHUNK
from synthaug.parsing import ParseError, read_json
from synthaug.runs import Run
from synthaug.sampling.generate import SeededGenerator
from synthaug.sampling.judgement import NOT_BY_HAND, REJECTED_BY_HAND

FOLDER = "curation"
Decision = Literal["accepted", "rejected"]
Index = Annotated[int, Field(ge=0, lt=2**40)]


class Images(BaseModel):
    """What determines how image i of a class looks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    checkpoint: str
    checkpoint_sha256: str
    seed: int
    truncation: float = 1.0
    mode: str | None = None
    inputs: str | None = None  # hash of the maps of the user that are painted

    @classmethod
    def of(cls, sampler: SeededGenerator) -> Images:
        """The images of a sampler."""
        trained, sources = sampler.trained, sampler.trained.sources
        return cls(
            checkpoint=trained.checkpoint, checkpoint_sha256=trained.sha256, seed=sampler.seed,
            truncation=sampler.psi, mode=sources and sources.mode,
            inputs=maps_digest(None if sources is None else sources.inputs),
        )  # fmt: skip


class Curation(BaseModel):
    """The decisions about some images: class → index → decision. `run` names whose images they are."""

    model_config = ConfigDict(extra="forbid")

    format_version: Literal[1] = 1
    tool: Literal["synthaug"] = "synthaug"
    run: str
    images: Images
    decisions: dict[str, dict[Index, Decision]] = Field(default_factory=dict)

    def of_class(self, label: str, decision: Decision) -> set[int]:
        """The indices of the images of a class with this decision."""
        return {index for index, found in self.decisions.get(label, {}).items() if found == decision}

    def counts(self, label: str, indices: Iterable[int] | None = None) -> ByHand:
        """How many images of a class were accepted and rejected, in all or among some."""
        found = self.decisions.get(label, {})
        shown = list(found.values() if indices is None else (found.get(index) for index in indices))
        return ByHand(accepted=shown.count("accepted"), rejected=shown.count("rejected"))

    def sha256(self) -> str:
        """A hash of the decisions, whatever their order."""
        return digest([[label, sorted(found.items())] for label, found in sorted(self.decisions.items()) if found])

    def decide(self, label: str, index: int, decision: Decision | None) -> None:
        """Note a decision; None takes it back."""
        own = self.decisions.setdefault(label, {})
        own.pop(index, None)
        if decision is not None:
            own[index] = decision


class Choice(BaseModel):
    """What decisions by hand do to a selection of images: leave out the rejected ones, or all but the accepted ones.

    Classes that nobody has looked at stay as they are.
    """

    model_config = ConfigDict(frozen=True)

    curation: Curation
    only_accepted: bool = False

    def reason(self, label: str, index: int) -> str | None:
        """Why an image is left out; None if it is not."""
        found = self.curation.decisions.get(label, {})
        decision = found.get(index)
        if decision == "rejected":
            return REJECTED_BY_HAND
        return NOT_BY_HAND if self.only_accepted and found and decision is None else None

    def reasons(self, label: str, chunk: int) -> list[str | None]:
        """The same for each image of a chunk."""
        return [self.reason(label, index) for index in range(chunk * CHUNK, (chunk + 1) * CHUNK)]

    def end(self, label: str) -> float:
        """The index from which on all images of a class are left out."""
        if not (self.only_accepted and self.curation.decisions.get(label)):
            return math.inf
        return max(self.curation.of_class(label, "accepted"), default=-1) + 1


def maps_digest(inputs: OwnMaps | None) -> str | None:
    """A hash of maps of the user."""
    return None if inputs is None else digest([[found.label, found.pixel_sha256] for found in inputs.maps])


def file_of(run: Run, images: Images) -> Path:
    """Where a run keeps the decisions about these images."""
    key = digest(images.model_dump(mode="json"))[:12]
    return run.path / FOLDER / f"{images.checkpoint}-seed{images.seed}-{key}.json"


def read(run: Run, images: Images, file: Path | None = None) -> Curation:
    """The decisions about these images of a run, in its own file or in `file`; none if its own file is missing.

    Raises:
        SynthaugError: the file is missing, damaged, or about other images.
    """
    path = file_of(run, images) if file is None else file
    if file is None and not path.exists():
        return Curation(run=run.name, images=images)
    hint = "give the run's own file, or leave it out" if file else "move it away, and decide again: synthaug curate"
    try:
        found = Curation.model_validate(read_json(path))
    except (OSError, ParseError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it {error}"
        raise SynthaugError(f"cannot read the decisions in {str(path)!r}: {reason}", hint) from error
    except ValidationError as error:
        raise SynthaugError(f"the decisions in {str(path)!r} are damaged: {in_words(error)}", hint) from error
    if found.images != images:
        raise SynthaugError(
            f"the decisions in {str(path)!r} are about other images: of the run {found.run!r}, {_said(found.images)}; "
            f"here are {_said(images)}",
            hint,
        )
    if unknown := sorted(set(found.decisions) - set(run.facts().classes)):
        raise SynthaugError(f"the decisions in {str(path)!r} are about a class {unknown[0]!r} that is not here", hint)
    return found


def write(run: Run, curation: Curation) -> Path:
    """Keep decisions in the run. All or nothing."""
    path = file_of(run, curation.images)
    write_json(path, curation.model_dump(mode="json"))
    return path


def _said(images: Images) -> str:
    psi = "" if images.truncation == 1 else f", truncation {images.truncation:g}"
    mode = "" if images.mode is None else f", mode {images.mode}"
    return f"{images.checkpoint} ({images.checkpoint_sha256[:8]}), seed {images.seed}{psi}{mode}"
