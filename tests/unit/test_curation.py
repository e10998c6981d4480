"""Decisions by hand: how they are kept, whose they are, and which images they leave out."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from synthaug.config import resolve
from synthaug.errors import SynthaugError
from synthaug.runs import Run, RunFacts, create, write_config
from synthaug.sampling import curation
from synthaug.sampling.copies import Accepted
from synthaug.sampling.curation import Choice, Curation, Images
from synthaug.sampling.gate import Gate
from synthaug.sampling.gated_samples import judge_chunks
from synthaug.sampling.judgement import DUPLICATE, NOT_BY_HAND, REJECTED_BY_HAND, Judgement, Measured

IMAGES = Images(checkpoint="kimg000100", checkpoint_sha256="a" * 64, seed=0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    facts = RunFacts(data=tmp_path, fingerprint="", classes=["a", "b"], targets=["a"], channels=1)
    return create(tmp_path / "runs", "test", lambda new: write_config(new, resolve(), facts))


def decided(**decisions: dict[int, str]) -> Curation:
    return Curation.model_validate({"run": "r", "images": IMAGES, "decisions": decisions})


def test_decisions_are_kept_and_can_be_taken_back(run: Run) -> None:
    kept = curation.read(run, IMAGES)
    assert kept.decisions == {}
    for index, decision in ((3, "accepted"), (5, "rejected"), (7, "rejected")):
        kept.decide("a", index, decision)  # type: ignore[arg-type]
    kept.decide("a", 3, "rejected")
    kept.decide("a", 5, None)
    curation.write(run, kept)
    again = curation.read(run, IMAGES)
    assert again.decisions == {"a": {3: "rejected", 7: "rejected"}}
    assert again.sha256() == decided(a={7: "rejected", 3: "rejected"}, b={}).sha256()
    assert again.sha256() != decided(a={7: "rejected", 3: "accepted"}).sha256()


@pytest.mark.parametrize(
    "other",
    [{"checkpoint_sha256": "b" * 64}, {"seed": 1}, {"truncation": 0.7}, {"mode": "vary"}, {"inputs": "c" * 64}],
)
def test_other_images_have_other_decisions(run: Run, other: dict[str, Any]) -> None:
    file = curation.write(run, decided(a={1: "rejected"}))
    images = IMAGES.model_copy(update=other)
    assert curation.read(run, images).decisions == {}
    with pytest.raises(SynthaugError, match="are about other images: of the run 'r', kimg000100") as error:
        curation.read(run, images, file)
    assert error.value.hint == "give the run's own file, or leave it out"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "is not valid JSON"),
        ("[]", "damaged"),
        ('{"run": "r"}', "images is missing"),
        ('{"run": "r", "images": IMAGES, "decisions": {"a": {"-1": "rejected"}}}', "damaged"),
        ('{"run": "r", "images": IMAGES, "decisions": {"a": {"x": "rejected"}}}', "damaged"),
        ('{"run": "r", "images": IMAGES, "decisions": {"a": {"1": "perhaps"}}}', "perhaps"),
        ('{"run": "r", "images": IMAGES, "decisions": {"c": {"1": "rejected"}}}', "a class 'c' that is not here"),
        ('{"run": "r", "images": IMAGES, "format_version": 2}', "damaged"),
    ],
)
def test_a_damaged_file_is_one_clear_error(run: Run, text: str, fault: str) -> None:
    file = curation.file_of(run, IMAGES)
    file.parent.mkdir()
    file.write_text(text.replace("IMAGES", IMAGES.model_dump_json()))
    with pytest.raises(SynthaugError, match=fault) as error:
        curation.read(run, IMAGES)
    assert str(file) in error.value.message
    with pytest.raises(SynthaugError, match="cannot read the decisions"):
        curation.read(run, IMAGES, file.with_name("missing.json"))


class Numbers:
    """A sampler whose image i has the value i."""

    def class_index(self, label: str) -> int:
        return 0

    def most(self, label: str) -> float:
        return math.inf

    def training_rows(self, label: str, chunk: int) -> None:
        return None

    def chunk(self, label: str, chunk: int) -> np.ndarray:
        return np.arange(64 * chunk, 64 * chunk + 64, dtype=np.uint8).reshape(64, 1, 1, 1)


def accepted(count: int, choice: Choice | None, gate: Gate | None) -> list[int]:
    batches = judge_chunks(Numbers(), gate, "a", count, limit=190, choice=choice)  # type: ignore[arg-type]
    return [64 * b.chunk + int(row) for b in batches for row in np.flatnonzero(b.judgement.accepted)]


@pytest.mark.parametrize("gate", [None, Gate.without_checks(["a"])])
def test_rejected_images_are_left_out_and_the_order_stays(gate: Gate | None) -> None:
    rejected = {0: "rejected", 5: "rejected", 63: "rejected", 64: "rejected", 150: "rejected", 4: "accepted"}
    choice = Choice(curation=decided(a=rejected))
    left = [i for i in range(192) if rejected.get(i) != "rejected"]
    for count in (1, 4, 59, 60, 61, 62, 100, 187):
        assert accepted(count, choice, gate) == left[:count]
    assert accepted(70, None, gate) == list(range(70))
    assert choice.end("a") == math.inf


@pytest.mark.parametrize("gate", [None, Gate.without_checks(["a"])])
def test_only_accepted_images_are_used_and_the_search_ends_with_them(gate: Gate | None) -> None:
    choice = Choice(curation=decided(a={3: "accepted", 70: "accepted", 71: "rejected"}), only_accepted=True)
    assert accepted(9, choice, gate) == [3, 70]
    assert accepted(1, choice, gate) == [3]
    reasons = choice.reasons("a", 1)
    assert (reasons[5], reasons[6], reasons[7], reasons[8]) == (NOT_BY_HAND, None, REJECTED_BY_HAND, NOT_BY_HAND)
    assert choice.end("b") == math.inf  # nobody has looked at this class
    assert choice.reasons("b", 0) == [None] * 64
    refused = Choice(curation=decided(a={1: "rejected"}), only_accepted=True)
    assert accepted(5, refused, gate) == []


def test_a_duplicate_of_a_rejected_image_stays_out() -> None:
    features = np.zeros((3, 256), np.float32)
    features[2] = 9
    limits = SimpleNamespace(duplicate_features=0.5, duplicate_pixels=0.5)
    near: Any = SimpleNamespace(reference=lambda index: SimpleNamespace(limits=limits))
    gate = Gate(["a"], None, None, near, copies=False, duplicates=True)
    pixels = np.zeros((3, 128), np.float32)
    pixels[2] = 9
    measured = Measured(Judgement.blank([None] * 3), Accepted(features, pixels), np.arange(3))
    judged = gate.accept(measured, 0, 2, [REJECTED_BY_HAND, None, None])
    assert judged.reasons == [REJECTED_BY_HAND, DUPLICATE, None]
    assert len(gate.memory(0)) == 2  # an interrupted export remembers the rejected image, too
