"""`curate`, and what export, evaluate and regenerate make of the decisions."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from export_material import CLASSES, Painters, make_run, metadata, save_images
from listener import Listener

from synthaug.data.run_data import RunData
from synthaug.documents import CurateDocument
from synthaug.errors import RunFailed, SynthaugError
from synthaug.evaluation.images import real_images
from synthaug.exporters.manifest import read_manifest
from synthaug.locks import only_writer
from synthaug.page_server import PageServer
from synthaug.pipelines.curate import curate
from synthaug.pipelines.evaluated_folds import make_folds
from synthaug.pipelines.export import export
from synthaug.pipelines.judged_size import evaluated_size
from synthaug.pipelines.regenerate import regenerate
from synthaug.progress import Silent
from synthaug.requests import EvaluateRequest
from synthaug.runs import Run
from synthaug.sampling import curation

DISC, RING, STRIPES = CLASSES
COUNTS = {DISC: 40, RING: 12, STRIPES: 40}  # the rare class is the target
TOTAL = 30
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("curate")
    save_images(root / "data", COUNTS)
    return root


@pytest.fixture
def run(place: Path, tmp_path: Path) -> Run:
    return make_run(place / "data", tmp_path / "runs")


@pytest.fixture(autouse=True)
def painter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthaug.sampling.generate.load_generator", Painters())


class Person(Listener):
    """Opens the page when its address is announced, and does there what `act` says."""

    def __init__(self, act: Callable[[Ask], None]) -> None:
        super().__init__()
        self._act, self.fault = act, ""

    def announce(self, line: str) -> None:
        super().announce(line)
        if line.startswith("page: "):
            threading.Thread(target=self._work, args=(line.removeprefix("page: "),)).start()

    def _work(self, url: str) -> None:
        def ask(path: str, **message: Any) -> Any:
            body = json.dumps(message).encode() if message else None
            request = urllib.request.Request(url + path, body, {"Content-Type": "application/json"})
            with DIRECT.open(request, timeout=60) as answer:
                return json.loads(answer.read())

        try:
            self._act(ask)
        except Exception as error:
            self.fault = repr(error)
        finally:
            ask("finish", end=True)


def look(target: Any, act: Callable[[Ask], None], cache: Path, **options: Any) -> CurateDocument:
    person = Person(act)
    ungated = {"gate": False} if isinstance(target, Run) else {}
    found = curate(target, cache=cache, device="cpu", progress=person, **ungated, **options)
    assert person.fault == ""
    return found


def decide(decisions: dict[int, str | None], label: str = RING) -> Callable[[Ask], None]:
    def act(ask: Ask) -> None:
        for index, decision in decisions.items():
            ask("decide", **{"class": label, "index": index, "decision": decision})

    return act


def exported(run: Run, out: Path, cache: Path, **options: Any) -> list[int]:
    """The indices of the rare class's synthetic images in an export."""
    export(run, out=out, per_class=TOTAL, gate=False, device="cpu", cache=cache, progress=False, **options)
    return [row["sample_index"] for row in metadata(out) if row["label"] == RING and row["synthetic"]]


def test_decisions_are_shown_again_and_followed_by_exports(run: Run, place: Path, tmp_path: Path) -> None:
    cache, seen = place / "cache", []
    plain = exported(run, tmp_path / "plain", cache)
    document = look(run, decide({0: "rejected", 2: "accepted", 5: "rejected", 7: "rejected"}), cache, count=20)
    assert document.per_class[RING].model_dump() == {"shown": 20, "accepted": 1, "rejected": 3}
    look(run, lambda ask: seen.extend(ask("images.json")), cache, count=20)
    assert [image["decision"] for image in seen[0]["images"][:6]] == [
        "rejected",
        None,
        "accepted",
        None,
        None,
        "rejected",
    ]
    train = RunData.open(run).split.of("train")
    assert all(len(image["like"]) == 3 for image in seen[0]["images"])
    assert {train[row].label for image in seen[0]["images"] for row in image["like"]} == {RING}
    look(run, decide({7: None}), cache, count=20)

    out = tmp_path / "curated"
    chosen = exported(run, out, cache)
    assert len(chosen) == len(plain)
    assert chosen == [i for i in range(len(plain) + 2) if i not in (0, 5)]
    manifest = read_manifest(out / "manifest.json")
    done = manifest.export.per_class[RING]
    assert done.by_hand is not None
    assert done.by_hand.model_dump() == {"accepted": 1, "rejected": 2}
    assert done.rejected == {"rejected by hand": 2}
    assert manifest.export.per_class[DISC].by_hand is None
    assert manifest.curation is not None
    assert not manifest.curation.only_accepted
    assert "1 accepted and 2 rejected by hand" in (out / "README.md").read_text()
    again = regenerate(out, device="cpu", cache=cache, progress=False)
    assert again.equal == again.rows
    assert exported(run, tmp_path / "off", cache, curation="off") == plain
    assert read_manifest(tmp_path / "off" / "manifest.json").curation is None

    shown: list[Any] = []
    found = look(out, lambda ask: shown.extend(ask("images.json")), cache)  # the images of the export
    assert [image["index"] for image in shown[0]["images"]] == chosen
    assert found.per_class[RING].accepted == 1
    look(out, decide({1: "rejected"}), cache)
    assert exported(run, tmp_path / "next", cache)[:3] == [2, 3, 4]


def test_only_accepted_images(run: Run, place: Path, tmp_path: Path) -> None:
    cache = place / "cache"
    with pytest.raises(SynthaugError, match=r"no image of .* was accepted by hand") as error:
        exported(run, tmp_path / "none", cache, only_accepted=True)
    assert error.value.hint == f"accept some: synthaug curate {run.reference()}"
    look(run, decide({3: "accepted", 8: "accepted", 9: "rejected"}), cache, count=10)
    with pytest.raises(RunFailed, match=r"'ring ünd' cannot be filled: 2 of .* not accepted by hand") as failed:
        exported(run, tmp_path / "short", cache, only_accepted=True)
    assert "synthaug curate" in failed.value.hint
    assert not (tmp_path / "short").exists()
    assert exported(run, tmp_path / "two", cache, only_accepted=True, allow_short=True) == [3, 8]


def test_evaluate_judges_the_images_that_were_looked_at(run: Run, place: Path, tmp_path: Path) -> None:
    cache = place / "cache"
    out = tmp_path / "out"
    exported(run, out, cache)
    look(run, decide({0: "rejected", 1: "accepted", 4: "rejected"}), cache, count=10)
    data = RunData.open(run)
    real = real_images(data, None, cache=cache, progress=Silent())

    def judged(**options: Any) -> Any:
        request = EvaluateRequest(run=str(run.path), gate=False, seeds=2, cache=cache, device="cpu", **options)
        size = evaluated_size(request, data, "cnn", [RING])
        (fold,), _ = make_folds(request, [real], [run], [RING], size, Silent())
        return fold

    fold, other = judged(), judged(curation="off")
    assert fold.by_hand[RING].model_dump() == {"accepted": 1, "rejected": 2}
    assert other.by_hand == {}
    assert (fold.pool.pixels[0] != other.pool.pixels[0]).any()  # another seed
    accepted = judged(only_accepted=True)
    assert len(accepted.pool) == 1
    assert (accepted.pool.pixels[0] == fold.pool.pixels[0]).all()  # image 1 is the first that is not rejected

    request = EvaluateRequest(run=str(run.path), synthetic=out, seeds=2, cache=cache, device="cpu")
    size = evaluated_size(request, data, "cnn", [RING])
    (folder,), _ = make_folds(request, [real], [], [RING], size, Silent())
    assert len(folder.pool) == sum(row["label"] == RING and row["synthetic"] for row in metadata(out)) - 2
    assert folder.by_hand[RING].rejected == 2


def test_what_is_asked_for_wrongly_is_one_clear_error_each(run: Run, place: Path, tmp_path: Path) -> None:
    cache = place / "cache"
    held = PageServer(None)
    with pytest.raises(SynthaugError, match=f"--port {held.port} is in use"):
        curate(run, port=held.port, progress=False)
    held.close()
    with pytest.raises(SynthaugError, match="no class 'rign'"):
        curate(run, class_="rign", gate=False, device="cpu", cache=cache, progress=False)
    out = tmp_path / "out"
    exported(run, out, cache)
    for options in ({"seed": 1}, {"checkpoint": "last"}):
        with pytest.raises(SynthaugError, match="is an export, which has its images"):
            curate(out, device="cpu", cache=cache, progress=False, **options)

    def wrong(ask: Ask) -> None:
        for message in ({"index": 99}, {"class": "x"}, {"decision": "maybe"}, {"index": "0"}, {"index": [0]}):
            good = {"class": RING, "index": 0, "decision": "accepted", **message}
            with pytest.raises(urllib.error.HTTPError) as refused:
                ask("decide", **good)
            assert refused.value.code == 400

    look(run, wrong, cache, count=5)
    images = curation.Images(checkpoint="kimg000001", checkpoint_sha256="b" * 64, seed=0)
    file = tmp_path / "other.json"
    file.write_text(curation.Curation(run="another", images=images).model_dump_json())
    with pytest.raises(SynthaugError, match="are about other images: of the run 'another'"):
        exported(run, tmp_path / "not", cache, curation=file)
    with only_writer(run.path / curation.FOLDER, "x"), pytest.raises(SynthaugError, match="is in use by process"):
        look(run, lambda ask: None, cache, count=5)
