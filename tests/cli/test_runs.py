"""`synthaug runs prune` removes what it says, nothing without --yes, and never a run that is being trained."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from report_material import evaluation

from synthaug.config import resolve
from synthaug.documents import CompareDocument, Contrast
from synthaug.errors import SynthaugError
from synthaug.pipelines.describe import describe
from synthaug.runs import Run, RunFacts, create, point_latest, write_config

Synthaug = Callable[..., Any]
Listing = Callable[[Path], dict[str, tuple[int, int]]]

FACTS = b"data: x\nfingerprint: x\n"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Four runs: two finished, one that came to no checkpoint, one that is being trained."""
    facts = RunFacts(data=Path("data"), fingerprint="x", classes=["a", "b"], targets=["a"], channels=1)
    for name, state, checkpoints in (
        ("old", "finished", 2),
        ("stillborn", "failed", 0),
        ("training", "running", 0),
        ("new", "finished", 1),
    ):
        run = create(tmp_path / "runs", name)
        write_config(run, resolve(), facts)
        run.set_status(state=state, kimg=1.0)
        for number in range(checkpoints):
            (run.checkpoints / f"kimg{number:06d}").mkdir(parents=True)
    point_latest(Run(tmp_path / "runs" / "00003-new"))
    with Run(tmp_path / "runs" / "00002-training").writing():
        yield tmp_path


def left(place: Path) -> list[str]:
    return sorted(p.name for p in (place / "runs").iterdir() if p.is_dir() and not p.is_symlink())


def test_only_said_without_yes(place: Path, synthaug: Synthaug, listing: Listing) -> None:
    before = listing(place)
    done = synthaug("runs", "prune", cwd=place)
    assert done.status == 0
    assert "would remove 00001-stillborn" in done.stdout
    assert "--yes" in done.stdout
    assert listing(place) == before


def test_without_keep_only_runs_that_came_to_nothing(place: Path, synthaug: Synthaug) -> None:
    done = synthaug("runs", "prune", "--yes", "--json", cwd=place)
    assert json.loads(done.stdout)["runs"] == ["00001-stillborn"]
    assert left(place) == ["00000-old", "00002-training", "00003-new"]


def test_of_a_link_only_the_link_is_removed(place: Path, synthaug: Synthaug) -> None:
    (place / "runs" / "00000-old").rename(place / "kept-elsewhere")
    (place / "runs" / "00000-old").symlink_to(place / "kept-elsewhere")
    done = synthaug("runs", "prune", "--keep", "2", "--yes", cwd=place)
    assert (done.status, done.lines("error: ")) == (0, [])
    assert not (place / "runs" / "00000-old").is_symlink()
    assert (place / "kept-elsewhere" / "config.yaml").is_file()


def test_keep_the_newest(place: Path, synthaug: Synthaug) -> None:
    assert synthaug("runs", "prune", "--keep", "1", "--yes", cwd=place).status == 0
    assert left(place) == ["00002-training", "00003-new"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.yaml", b"- a\n- list\n"),
        ("config.yaml", b"\xff\xfe not text"),
        ("config.yaml", b"config: [1]\n"),
        ("config.yaml", None),
        ("config.yaml", b"format_version: 99\n"),
        ("config.yaml", FACTS + b"classes: [a, a]\ntargets: [a]\nchannels: 1\n"),
        ("config.yaml", FACTS + b"classes: [a, b]\ntargets: [c]\nchannels: 1\n"),
        ("config.yaml", FACTS + b"classes: [a, b]\ntargets: [a]\nchannels: 2\n"),
        ("config.yaml", FACTS + b"classes: [a, b]\ntargets: [a]\nchannels: 1\nconfig: {seed: [1]}\n"),
        ("status.json", b"[1, 2]"),
        ("status.json", b'{"state": ["running"], "kimg": "much"}'),
        ("status.json", b"\xff"),
        ("status.json", None),
    ],
)
def test_a_damaged_file_of_a_run_is_an_error_and_no_surprise(place: Path, file: str, content: bytes | None) -> None:
    damaged = place / "runs" / "00000-old" / file
    damaged.unlink()
    if content is None:
        os.mkfifo(damaged)  # to read from it would take for ever
    else:
        damaged.write_bytes(content)
    run = Run(place / "runs" / "00000-old")
    assert describe(run).state.startswith("broken: ")
    with pytest.raises(SynthaugError, match=str(run.path)) as caught:
        run.status() if file == "status.json" else (run.facts(), run.config())
    assert caught.value.hint


def test_one_bad_run_does_not_hide_the_others(place: Path, synthaug: Synthaug) -> None:
    (place / "runs" / "00000-old" / "status.json").write_text('{"state": ["running"], "kimg": "much"}')
    done = synthaug("runs", "ls", "--json", cwd=place)
    assert done.status == 0, done.stderr
    states = {Path(run["run"]).name: run["state"] for run in json.loads(done.stdout)["runs"]}
    assert states.pop("00000-old").startswith("broken: ")
    assert states == {"00001-stillborn": "failed", "00002-training": "running", "00003-new": "finished"}


def test_latest_follows(place: Path, synthaug: Synthaug) -> None:
    assert synthaug("runs", "prune", "--keep", "0", "--yes", cwd=place).status == 0
    assert left(place) == ["00002-training"]
    assert (place / "runs" / "latest").resolve().name == "00002-training"


def test_ls_and_show(place: Path, synthaug: Synthaug) -> None:
    shown = synthaug("runs", "ls", cwd=place).stdout
    assert [shown.index(name) for name in ("00003-new", "00002-training", "00001-stillborn", "00000-old")] == sorted(
        shown.index(name) for name in ("00003-new", "00002-training", "00001-stillborn", "00000-old")
    )
    described = json.loads(synthaug("runs", "show", "--json", cwd=place).stdout)
    assert described["run"].endswith("00003-new")
    assert described["checkpoints"] == ["kimg000000"]
    (place / "runs" / "00000-old" / "status.json").write_text("{")
    assert "broken" in synthaug("runs", "show", "0", cwd=place).stdout


def evaluated(run: Path, gain: float, verdict: str = "helps") -> None:
    """An evaluation in a run: that of the report's tests, with this gain over the best control."""
    document = evaluation(["a", "b"], ["a"])
    contrast = Contrast(mean=gain, low=gain - 0.02, high=gain + 0.02)
    given = document.verdict.model_copy(update={"overall": verdict, "against_best": {"synthetic": contrast}})
    (run / "evaluation").mkdir()
    text = document.model_copy(update={"verdict": given}).model_dump_json()
    (run / "evaluation" / "report.json").write_text(text)


def test_verdict_gain_and_score_are_listed(place: Path, synthaug: Synthaug) -> None:
    run = place / "runs" / "00003-new"
    evaluated(run, 0.123)
    rows = [("monitor", 9.0, True), ("monitor", 4.5, True), ("step", 1.0, None), ("monitor", 7.0, False)]
    lines = [json.dumps({"kind": kind, "kimg": 1, "score": score, "best": best}) for kind, score, best in rows]
    (run / "metrics.jsonl").write_text("\n".join([*lines, '{"kind": "monitor", "kimg"']))
    found = describe(Run(run))
    assert (found.verdict, found.score) == ("helps", 4.5)
    assert found.gain is not None
    assert found.gain.mean == 0.123
    listed = synthaug("runs", "ls", cwd=place).stdout
    assert "+0.123 (+0.103 to +0.143)" in listed
    assert "helps" in listed
    (run / "evaluation" / "report.json").write_text("{")
    assert (describe(Run(run)).state, describe(Run(run)).verdict) == ("finished", "cannot be read")


def test_compare_writes_a_page_with_the_samples_of_the_best_checkpoints(place: Path, synthaug: Synthaug) -> None:
    grids = []
    for number, name in enumerate(("00000-old", "00003-new")):
        run = Run(place / "runs" / name)
        run.samples.mkdir(exist_ok=True)
        for kimg in (0, 1):
            Image.new("L", (8, 8), 40 * number + kimg).save(run.samples / f"kimg{kimg:06d}.png")
        run.set_status(best_checkpoint="kimg000000")
        grids.append(base64.b64encode((run.samples / "kimg000000.png").read_bytes()).decode())
    evaluated(place / "runs" / "00000-old", -0.05, "hurts")
    done = synthaug("runs", "compare", "0", "00003-new", "--out", "page.html", "--json", cwd=place)
    assert done.status == 0, done.stderr
    document = CompareDocument.model_validate_json(done.stdout)
    assert [run.verdict for run in document.runs] == ["hurts", None]
    assert document.page == str(place / "page.html")
    page = (place / "page.html").read_text()
    assert [page.count(grid) for grid in grids] == [1, 1]
    assert "not evaluated" in page
    assert "-0.050 (-0.070 to -0.030)" in page
    again = synthaug("runs", "compare", "0", "--out", "page.html", cwd=place)
    assert (again.status, len(again.lines("hint: "))) == (2, 1)
    assert "exists already" in again.stderr
    for name in ("page.png", "nowhere/page.html"):
        assert synthaug("runs", "compare", "0", "--out", name, cwd=place).status == (2 if "png" in name else 0)
    missing = synthaug("runs", "compare", "0", "17", cwd=place)
    assert (missing.status, missing.stdout) == (2, "")
