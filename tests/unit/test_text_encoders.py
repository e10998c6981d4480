"""Texts by a pretrained encoder: offline, with words that no training image has; and by a missing package."""

import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_material import CLASSES, save_images

from synthaug.data import text_encoders
from synthaug.data.attributes import MISSING
from synthaug.data.conditions import Conditions, checked, encode, fitted
from synthaug.data.split import SplitRow
from synthaug.documents.conditions import PRETRAINED
from synthaug.errors import SynthaugError
from synthaug.pipelines.fit import fit
from synthaug.pipelines.samples import samples

NOTES = ["a red sign at night", "a blue sign", "a red sign in snow", MISSING]


@pytest.fixture
def notes() -> Conditions:
    rows = [SplitRow(f"{k}.png", str(k), "sign", str(k), "train") for k in range(len(NOTES))]
    return fitted(["note"], rows, {"note": NOTES}, ["sign"], "wordllama")


@pytest.mark.parametrize("encoder", PRETRAINED)
def test_the_encoder_is_loaded_without_a_network(encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    text_encoders._wordllama.cache_clear()
    text_encoders.embedded.cache_clear()
    found = text_encoders.embedded(encoder, "a red sign")
    assert found.shape == (PRETRAINED[encoder],)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_related_words_are_near(notes: Conditions) -> None:
    column = notes.columns[0]
    assert notes.vectors.shape == (len(NOTES), PRETRAINED["wordllama"])
    crimson, red, cat = (encode(column, word) for word in ("crimson", "red", "cat"))
    assert crimson @ red > crimson @ cat + 0.1
    assert not notes.vectors[-1].any()  # missing


def test_a_text_of_unknown_words_may_be_asked_for(notes: Conditions) -> None:
    assert checked(notes.columns[0], "a crimson board") == "a crimson board"
    with pytest.raises(SynthaugError, match="has no word"):
        checked(notes.columns[0], "…!")


def test_a_missing_package_is_named(notes: Conditions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wordllama", None)
    text_encoders._wordllama.cache_clear()
    text_encoders.embedded.cache_clear()
    with pytest.raises(SynthaugError, match="needs the package wordllama") as caught:
        encode(notes.columns[0], "a red sign")
    assert caught.value.hint == "pip install 'synthaug[text]'"


def test_a_run_shows_what_it_was_never_told_of(tmp_path: Path) -> None:
    data = tmp_path / "data"
    save_images(data, dict.fromkeys(CLASSES, 20))
    lines = ["file_name,note"]
    for number, path in enumerate(sorted(data.rglob("*.png"))):
        lines.append(f"{path.relative_to(data).as_posix()},{NOTES[number % 3]}")
    (data / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = {
        "data.text_encoder": "wordllama", "data.resolution": 16, "model.width": 4, "model.discriminator_width": 4,
        "monitor.every_kimg": 9, "training.budget": "0.1kimg", "gate.agreement": False,
    }  # fmt: skip
    run = fit(data, target_class=CLASSES[0], condition=["note"], set=settings, runs=tmp_path / "runs", device="cpu").run
    made = samples(run, text="a crimson board", count=2, out=tmp_path / "out", device="cpu")
    assert made.where == {"note": "a crimson board"}
    assert made.extrapolated == [CLASSES[0]]  # no training image has these words
