"""Bad input on the command line: two lines, the right status, and nothing left behind.

Each case runs in a copy of one workplace, made once: good and bad data, a small trained run, an export of it. What a
request refuses, whatever the command, stands in `tests/unit/test_requests.py`; here is one such fault a command.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hostile_material
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from synthaug_cli.app import as_synthaug

Synthaug = Callable[..., Any]
Listing = Callable[[Path], dict[str, tuple[int, int]]]
CLASSES = {"cat": 7, "dog": 14, "owl": 14}
SMALL = [
    *("--resolution", "16", "--set", "model.width=4"),
    *("--set", "model.discriminator_width=4", "--set", "gate.steps=20"),
]


@dataclass(frozen=True)
class Case:
    """A command line, what its error line must say, and how it ends."""

    arguments: str
    says: str
    status: int = 2
    hint: str = ""
    under: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.arguments} [{' '.join(self.under)}]" if self.under else self.arguments


USAGE = [
    Case("exprt", "'exprt'", hint='did you mean "export"'),
    Case("recipes sohw", "'sohw'", hint='did you mean "show"'),
    Case("recipes", "needs a command", hint="validate"),
    Case("fit", "needs DATA"),
    Case("fit good --bugdet 1kimg", "'--bugdet'", hint='did you mean "--budget"'),
    Case("fit good extra", "'extra'"),
    Case("fit good --budget", "'--budget'"),
    Case("fit good --dry-run=3", "'--dry-run'"),
    Case("fit good --seed -1", "-1"),
    Case("fit good --budget 10", "'10' is not a budget: write it like 10min"),
    Case("fit good --budget=-5min", "'-5min'"),
    Case("fit good --budget 0kimg", "'0kimg'"),
    Case("fit good --precision fp8", "'fp8'"),
    Case("fit good --resolution 33", "33"),
    Case("fit good --family mlp --resolution 192", "data.resolution = 192", hint="--resolution 128, or --family"),
    Case("fit good --fit squeeze", "'squeeze'"),
    Case("fit good --device tpu", "'tpu'", hint="cuda"),
    Case("list familes", "'familes'", hint='did you mean "families"'),
    Case("evaluate --seeds 1", "--seeds 1", hint="from 2"),
    Case("check --count 0", "--count 0", hint="from 8"),
    Case("samples --count 0", "--count 0", hint="from 1"),
    Case("samples --class cta", "'cta'", hint='did you mean "cat"'),
    Case("export --keep 0.5", "keep 0.5", hint="--select"),
    Case("upscale 0 good", "needs --out"),
    Case("traverse --to owl", "'owl'", hint="--along classes"),
]
CONFIGURATION = [
    Case("fit good --recipe defualt", "'defualt'", hint='did you mean "default"'),
    Case("fit good --family srgn", "'srgn'", hint='did you mean "srgan"'),
    Case("fit good --scale 2", "model.scale (flag) is an option of srgan", hint="--family srgan"),
    Case("fit good --family srgan --scale 3", "model.scale = 3"),
    Case("fit good --family srgan --scale 2 --resolution 16", "0 of ", hint="a smaller --resolution"),
    Case("fit good --family dcgn", "'dcgn'", hint='did you mean "dcgan"'),
    Case("fit good --family dagan --source-classes dog", "dagan translates none", hint="leave --source-classes out"),
    Case("fit good --objective hing", "'hing'", hint='did you mean "hinge"'),
    Case("fit good --set monitor.features=resnet", "'resnet'", hint="efficientnet_lite0"),
    Case("fit good --set training.batch_size", "'training.batch_size'", hint="training.batch_size=32"),
    Case("fit good --set training.batchsize=32", "'training.batchsize'", hint='did you mean "training.batch_size"'),
    Case("fit good --set training.batch_size=50", "groups of 4", hint="48 or 52"),
    Case("fit good --set training.batch_size=1", "training.batch_size = 1"),
    Case("fit good --set training=3", "training = 3"),
    Case("fit good --set training.fade_start=0.5", "fade_start (0.5)"),
    Case("fit good --set training.augment=[colour]", "'colour'", hint="color"),
    Case("fit good --set training.regularizers={r3:1.0}", "r3:1.0"),
    Case("fit good --set training.label_smoothing=0.1", "'hinge'", hint="minimax, non-saturating or least-squares"),
    Case("fit good --set training.freeze_discriminator=2", "freeze_discriminator = 2", hint="--from RUN"),
    Case("fit good --set model.continuous_codes=2", "codes", hint="infogan"),
    Case("fit good --set model.categorical_codes=[64]", "64 entries of z"),
    Case("fit good --set training.ada=true --set training.augment=[]", "training.ada = true", hint="training.augment"),
    Case("fit good --config missing.yaml", "'missing.yaml'"),
    Case("fit good --config good", "'good'"),
    Case("fit good --config broken.yaml", "broken.yaml is not valid YAML at line"),
    Case("fit good --config list.yaml", "list.yaml holds a list"),
    Case("fit good --config unknown-key.yaml", "'modle'", hint='did you mean "model'),
    Case("recipes validate unknown-choice.yaml", "'polar'"),
    Case("recipes validate good/cat/0.png", "good/cat/0.png"),
    Case("recipes show defualt", "'defualt'", hint='did you mean "default"'),
    Case("recipes cp default broken.yaml", "'broken.yaml'", hint="--overwrite"),
    Case("recipes cp default broken.yaml/mine.yaml", "'broken.yaml'"),
]
DATA = [
    Case("inspect missing", "'missing'"),
    Case("fit god", "'god'", hint='did you mean "good"'),
    Case("fit broken.yaml", "'broken.yaml'"),
    Case("inspect bad/no-images", "no-images"),
    Case("inspect bad/no-folders", "no-folders"),
    Case("fit bad/empty-class", "'empty'"),
    Case("fit bad/one-class", "'only'"),
    Case("fit bad/one-image", "'lonely'"),
    Case("fit bad/corrupt-class", "'broken'"),
    Case("inspect bad/text-as-png --strict", "notes.png"),
    Case("inspect bad/bomb --strict", "bomb.png"),
    Case("fit bad/bomb", "'bombs'"),
    Case("inspect bad/link-out --strict", "escape"),
    Case("inspect bad/name-escapes", "'../x'"),
    Case("inspect bad/labels-contradict", "metadata.jsonl"),
    Case("inspect bad/broken-table", "metadata.jsonl line 2"),
    Case("inspect good --group-by (", "'('"),
    Case("inspect good --group-by cat", "'cat'"),
    Case("fit good --target-class cta", "'cta'", hint='did you mean "cat"'),
    Case(
        "fit good --family translator --resolution 16 --target-class cat --source-classes cat",
        "'cat', is the target class itself",
        hint="--source-classes dog",
    ),
    Case("fit good --family cut --resolution 16 --source-classes owll", "'owll'", hint='did you mean "owl"'),
]
RUNS = [
    Case("export --runs nowhere", "'nowhere'", hint="synthaug fit"),
    Case("runs show 17", "'17'"),
    Case("fit good --from nowhere", "'nowhere'"),
    Case(
        "fit good --from 0 --resolution 32", "data.resolution is 16 in that run and 32 here", hint="data.resolution=16"
    ),
    Case("traverse", "has no codes", hint="training.auxiliary={infogan: 1.0}"),
    Case("traverse --class owll", "'owll'", hint='did you mean "owl"'),
    Case("traverse --along classes --to owll", "'owll'", hint='did you mean "owl"'),
    Case("traverse --along classes --class cat --to cat", "'cat'", hint="another class"),
    Case("export good", "'good'"),
    Case("samples --mode vary", "--mode vary is for families that start from images", hint="leave --mode out"),
    Case("samples --runs no-checkpoint", "no-checkpoint"),
    Case("export --runs no-checkpoint", "no-checkpoint"),
    Case("samples --runs other-architecture", "other-architecture"),
    Case("samples --runs cut-checkpoint", "cut-checkpoint"),
    Case("samples --runs broken-config", "broken-config"),
    Case("samples --checkpoint kimg999999", "'kimg999999'"),
    Case("upscale 0 good --out out", "is no upscaler: its family is dcgan", hint="--family srgan"),
    Case("export --upscaler 0 --out out", "is no upscaler: its family is dcgan", hint="--family srgan"),
    Case("upscale 0 missing --out out", "'missing'"),
    Case("fit good --resume nothing", "'nothing'"),
    Case("fit good --resume latest", "finished", hint="synthaug fit good --from"),
    Case("fit good --checkpoint kimg000001", "without a run", hint="--resume RUN"),
    Case(
        f"fit good --budget 0.1kimg {' '.join(SMALL)} --device cpu --runs small-disk/runs",
        "full",
        1,
        hint="--resume",
        under=("unshare", "-rm", "bash", "-c", 'mount -t tmpfs -o size=100k none small-disk && exec "$@"', "_"),
    ),
    Case(f"fit good --budget 0.2kimg {' '.join(SMALL)} --runs broken.yaml", "'broken.yaml'"),
    Case(f"fit good --budget 0.2kimg {' '.join(SMALL)} --runs /proc/runs", "'/proc/runs'"),
]
OUTPUT = [
    Case("export --inputs good --out out", "--inputs 'good' is for runs of pix2pix", hint="--recipe pix2pix"),
    Case("export --per-class cta=30", "'cta'", hint='did you mean "cat"'),
    Case("export --per-class 20 --out broken.yaml", "'broken.yaml'"),
    Case("export --per-class 20 --out broken.yaml/out", "broken.yaml"),
    Case("export --per-class 20 --out exported", "exported"),
    Case("export --per-class 20 --out good --overwrite", "good"),
    Case("export --per-class 20 --out /proc/out", "/proc/out"),
    Case("export --per-class 20 --no-gate --out out", "full", 1, under=("bash", "-c", 'ulimit -f 1; exec "$@"', "_")),
    Case(
        "export --per-class 20 --no-gate --out small-disk/out",
        "small-disk",
        1,
        under=("unshare", "-rm", "bash", "-c", 'mount -t tmpfs -o size=64k none small-disk && exec "$@"', "_"),
    ),
    Case("export --per-class 20 --select drs --out out", "0 in val", hint="top-k"),
    Case("export --recommended", "no evaluation", hint="synthaug evaluate"),
    Case("samples --out good", "'good'"),
    Case("regenerate missing.jsonl", "'missing.jsonl'"),
    Case("regenerate broken.yaml", "'broken.yaml'", hint="manifest.json"),
    Case("regenerate exported/train/metadata.jsonl --out good", "'good'"),
    Case("regenerate exported/train/metadata.jsonl --row 100000", "100000"),
]
EVALUATION = [
    Case("evaluate --classifier missing.py", "missing.py", hint="fit(images, labels, weights, seed)"),
    Case("evaluate --arms synthetc", "'synthetc'", hint='did you mean "synthetic"'),
    Case("evaluate --arms smote --classifier cnn", "smote"),
    Case("evaluate --test missing", "'missing'"),
    Case("evaluate --synthetic broken.yaml", "'broken.yaml'"),
    Case("evaluate --out broken.yaml", "'broken.yaml'"),
    Case("evaluate --test good", "train"),
    Case("evaluate --test bad/other-classes", "'zebra'"),
    Case("evaluate --folds two", "'two'"),
    Case("evaluate --folds 15", "cannot be divided into 15 folds", hint="smaller number"),
    Case("evaluate --data missing --synthetic exported", "'missing'"),
    Case("evaluate --data good --synthetic exported --checkpoint best", "--checkpoint", hint="leave it out"),
    Case("evaluate --synthetic exported --no-gate", "with --synthetic 'exported'", hint="leave it out"),
    Case("evaluate --data good --synthetic exported --target-class cta", "'cta'", hint='did you mean "cat"'),
    Case("evaluate --data good --synthetic exported --resolution 33", "33"),
    Case("evaluate --data good --synthetic bad/other-classes --target-class cat", "'zebra', which the folder"),
    Case("evaluate --data good --synthetic good --target-class cat", "among the test images", hint="--test DIR"),
    Case("evaluate --data good --synthetic exported --target-class cat --out good/report", "good/report' lies inside"),
    Case("check exported/train", "'exported/train'", hint="--reference"),
    Case("check exported/train --reference good --count 9", "--count is for a run", hint="leave it out"),
    Case("check exported/train --reference good --checkpoint last", "--checkpoint is for a run", hint="leave it out"),
    Case("check --features nothing", "'nothing'"),
    Case("check --reference missing", "'missing'"),
]
HOSTILE = [Case(arguments, says) for arguments, says in hostile_material.CASES.items()]
CASES = [*USAGE, *CONFIGURATION, *DATA, *RUNS, *OUTPUT, *EVALUATION, *HOSTILE]


@dataclass(frozen=True)
class Outcome:
    finished: Any
    before: dict[str, tuple[int, int]]
    after: dict[str, tuple[int, int]]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, synthaug: Synthaug) -> Path:
    """The folder that each case gets a copy of."""
    place = tmp_path_factory.mktemp("workplace") / "place"
    place.mkdir()
    rng = np.random.default_rng(0)
    for name, count in CLASSES.items():
        write_images(place / "good" / name, count, rng, list(CLASSES).index(name))
    write_bad_folders(place / "bad", rng)
    write_files(place)
    trained = synthaug("fit", "good", "--target-class", "cat", "--budget", "0.2kimg", *SMALL, cwd=place)
    assert trained.status == 0, trained.stderr
    made = synthaug("export", "--per-class", "16", "--no-gate", "--out", "exported", "--device", "cpu", cwd=place)
    assert made.status == 0, made.stderr
    break_runs(place)
    hostile_material.write_hostile(place)
    return place


def write_images(folder: Path, count: int, rng: np.random.Generator, kind: int) -> None:
    """Grey 16 px images: noise under a bar whose place tells the class."""
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = rng.integers(0, 120, (16, 16), dtype=np.uint8)
        pixels[3 * kind + 2 : 3 * kind + 5] += 130
        Image.fromarray(pixels).save(folder / f"{number}.png")


def write_bad_folders(bad: Path, rng: np.random.Generator) -> None:
    for name in ("empty-class", "corrupt-class", "text-as-png", "bomb", "link-out"):
        for kind, label in enumerate(("cat", "dog")):
            write_images(bad / name / label, 12, rng, kind)
    (bad / "empty-class" / "empty").mkdir()
    (bad / "corrupt-class" / "broken").mkdir()
    for number in range(8):
        (bad / "corrupt-class" / "broken" / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + rng.bytes(300))
    (bad / "text-as-png" / "cat" / "notes.png").write_text("not an image\n")
    (bad / "bomb" / "bombs").mkdir()
    (bad / "bomb" / "bombs" / "bomb.png").write_bytes(bomb())
    (bad / "link-out" / "cat" / "escape.png").symlink_to("/etc/hostname")
    write_images(bad / "one-class" / "only", 12, rng, 0)
    write_images(bad / "one-image" / "cat", 12, rng, 0)
    write_images(bad / "one-image" / "lonely", 1, rng, 1)
    write_images(bad / "other-classes" / "zebra", 4, rng, 0)
    write_images(bad / "no-folders", 3, rng, 0)
    (bad / "no-images" / "cat").mkdir(parents=True)
    (bad / "no-images" / "cat" / "readme.txt").write_text("nothing\n")
    write_table(bad / "name-escapes", rng, ["cat", "../x"] * 4)
    write_table(bad / "labels-contradict", rng, ["cat", "dog"] * 4)
    with (bad / "labels-contradict" / "metadata.jsonl").open("a") as table:
        table.write('{"file_name": "0.png", "label": "dog"}\n')
    write_table(bad / "broken-table", rng, ["cat", "dog"] * 4)
    lines = (bad / "broken-table" / "metadata.jsonl").read_text().splitlines()
    (bad / "broken-table" / "metadata.jsonl").write_text("\n".join([lines[0], "{oops", *lines[2:]]))


def write_table(folder: Path, rng: np.random.Generator, labels: list[str]) -> None:
    write_images(folder, len(labels), rng, 0)
    rows = [{"file_name": f"{number}.png", "label": label} for number, label in enumerate(labels)]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def bomb() -> bytes:
    """A PNG of a few bytes that says it is 100,000 × 100,000."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def write_files(place: Path) -> None:
    (place / "broken.yaml").write_text("training:\n  - {batch_size: 3\n")
    (place / "list.yaml").write_text("- training\n- model\n")
    (place / "unknown-key.yaml").write_text("modle:\n  width: 64\n")
    (place / "unknown-choice.yaml").write_text("data:\n  fit: polar\n")
    (place / "small-disk").mkdir()


def break_runs(place: Path) -> None:
    """Copies of the run, each with one thing wrong."""
    run = next(p for p in (place / "runs").iterdir() if p.name.startswith("00000"))
    for fault in ("no-checkpoint", "other-architecture", "cut-checkpoint", "broken-config"):
        copied = place / fault / f"00000-{fault}"
        shutil.copytree(run, copied)
        if fault == "no-checkpoint":
            shutil.rmtree(copied / "checkpoints")
        elif fault == "other-architecture":
            tree = yaml.safe_load((copied / "config.yaml").read_text())
            tree["config"]["model"]["width"] = 8
            (copied / "config.yaml").write_text(yaml.safe_dump(tree))
        elif fault == "cut-checkpoint":
            for weights in copied.rglob("*.safetensors"):
                weights.write_bytes(weights.read_bytes()[:1000])
        else:
            (copied / "config.yaml").write_text("config: [broken\n")


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, workplace: Path, synthaug: Synthaug, listing: Listing
) -> Iterator[dict[str, Future[Outcome]]]:
    """All the cases that this session asks for, two at a time."""
    asked = {item.name for item in request.session.items if item.path == request.path}
    wanted = [case for case in CASES if f"test_bad_input[{case}]" in asked]

    def run(number: int, case: Case) -> Outcome:
        place = workplace.parent / f"case{number}"
        shutil.copytree(workplace, place, symlinks=True)
        before = listing(place)
        cache = workplace.parent / f"{workplace.name}-cache"
        finished = synthaug(
            *case.arguments.split(),
            cwd=place,
            under=case.under,
            env={"XDG_CACHE_HOME": str(cache), **case.env},
            forked=True,
        )
        after = listing(place)
        shutil.rmtree(place)
        return Outcome(finished, before, after)

    with ThreadPoolExecutor(2) as pool:
        yield {str(case): pool.submit(run, number, case) for number, case in enumerate(wanted)}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bad_input(case: Case, outcomes: dict[str, Future[Outcome]]) -> None:
    if case.under and not able(case.under):
        pytest.skip(f"{case.under[0]} cannot make a small disk here")
    outcome = outcomes[str(case)].result()
    done = outcome.finished
    assert done.stdout == "", done.stdout
    errors, hints = done.lines("error:"), done.lines("hint:")
    assert len(errors) == 1, done.stderr
    assert len(hints) == 1, done.stderr
    assert case.says in errors[0]
    assert case.hint in hints[0]
    assert len(hints[0]) > len("hint: ") + 5
    assert "Traceback" not in done.stderr
    assert "unexpected" not in errors[0]
    assert done.status == case.status
    assert outcome.after == outcome.before


def able(under: tuple[str, ...]) -> bool:
    """Whether this machine lets us make a small disk."""
    if under[0] != "unshare":
        return True
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0
    )


def test_the_shared_data_was_not_touched(
    workplace: Path, outcomes: dict[str, Future[Outcome]], listing: Listing
) -> None:
    """Runs name their data by absolute path: that is the folder the copies were made from."""
    files = listing(workplace / "good")
    for outcome in outcomes.values():
        outcome.result()
    assert listing(workplace / "good") == files
    assert {name.split("/")[0] for name in files} == set(CLASSES)


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: bytearray(1 << 60),
        lambda: torch.empty(1 << 55),
        lambda: np.empty(1 << 55),
        lambda: mmap.mmap(-1, 1 << 60),
    ],
    ids=["python", "torch", "numpy", "mmap"],
)
def test_memory_that_is_not_there_is_said_as_such(allocate: Callable[[], object]) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 (each raises its own)
        allocate()
    told = as_synthaug(caught.value, [])
    assert told.message.startswith("out of memory: ")
    assert told.exit_status == 1


@pytest.mark.parametrize("name", [(), ("here",)])
def test_storage_that_does_not_work_now_is_no_fault_of_the_path(name: tuple[str, ...]) -> None:
    told = as_synthaug(OSError(errno.EIO, os.strerror(errno.EIO), *name), [])
    assert told.message == f"the storage failed{' at ' * len(name)}{''.join(map(repr, name))}: Input/output error"
    assert "again" in told.hint
    assert told.exit_status == 1


def test_what_ctrl_c_stops_is_called_again_with_the_command_that_was_typed() -> None:
    told = as_synthaug(KeyboardInterrupt(), ["evaluate", "my run", "--seeds", "3"])
    assert told.hint.endswith(": synthaug evaluate 'my run' --seeds 3")
    assert told.exit_status == 130
