"""Files that somebody made to break the tool, or to get out of a folder, and the commands that meet them."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

CASES = {
    "regenerate hostile/nul --out new": "which is no text",
    "regenerate hostile/many-digits": "more than 64 bits",
    "regenerate hostile/no-such-file --out new": "CMYK in PNG",
    "regenerate hostile/program --out new": "the format 'PDF' is not read",
    "regenerate hostile/bomb --out new": "65000x65000",
    "regenerate hostile/deep": "nested deeper than 64 levels",
    "samples 0 --runs hostile/class-leads-out --out new": "'../x'",
    "export 0 --runs hostile/split-leads-out --no-gate --out new": "'../../../etc/hostname'",
    "export 0 --runs hostile/split-with-nul --no-gate --out new": "a NUL in line",
    "samples 0 --runs hostile/aliases --out new": "the alias *a",
    "evaluate 0 --classifier finetune --weights hostile/code.pth": "holds more than tensors",
    "check 0 --features hostile/code.pt": "cannot be loaded as TorchScript",
    "inspect hostile/leads-out.tar": "is a file",
    "fit good --config hostile/aliases/00000-x/config.yaml": "the alias *a",
    "fit good --config hostile/loop": "symbolic links",
    "samples 0 --out hostile/loop/x": "links to itself",
    "export 0 --no-gate --out hostile/loop/x": "links to itself",
    "samples 0 --out /proc/x": "/proc",
    "inspect hostile/upper": "one folder on Windows",
    **{
        f"evaluate 0 {option} hostile/{folder}": says
        for option in ("--test", "--synthetic")
        for folder, says in {
            "links-out": "symbolic link out of the folder",
            "rows-out": "names no image of it",
            "script-label": "has '<'",
            "deep-row": "line 1 is nested deeper than 64 levels",
            "bombs": "decompression bomb",
        }.items()
    },
    "evaluate 0 --classifier hostile/exit.py": "ended its process with status 0",
}
"""Command line → what its error must say."""


class _Code:
    """A pickle that would make the file `pwned`."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, ("touch pwned",)


def write_hostile(place: Path) -> None:
    """Beside `exported`, an export, and `runs`, its run, a folder `hostile`."""
    hostile = place / "hostile"
    hostile.mkdir()
    rows = {
        "nul": {"file_name": "a\0"},
        "many-digits": {"seed": 10**30},
    }
    for name, changed in rows.items():
        _export(place, name, row=changed)
    looks = {
        "no-such-file": {"mode": "CMYK"},
        "program": {"format": "PDF"},
        "bomb": {"width": 65_000, "height": 65_000},
    }
    for name, changed in looks.items():
        _export(place, name, look=changed)
    (hostile / "deep").mkdir()
    (hostile / "deep" / "manifest.json").write_text('{"tool":' * 1000 + "1" + "}" * 1000)
    run = _run(place, "class-leads-out") / "config.yaml"
    facts = yaml.safe_load(run.read_text())
    run.write_text(yaml.safe_dump({**facts, "classes": ["../x", "dog", "owl"], "targets": ["../x"]}))
    split = _run(place, "split-leads-out") / "split.csv"
    split.write_text(split.read_text().replace("cat/0.png", "../../../etc/hostname"))
    split = _run(place, "split-with-nul") / "split.csv"
    split.write_text(split.read_text() + "\0,a,a,a,train\n")
    (hostile / "aliases" / "00000-x").mkdir(parents=True)
    (hostile / "aliases" / "00000-x" / "config.yaml").write_text("a: &a {b: 1}\nc: {d: *a, e: *a}\n")
    (hostile / "code.pth").write_bytes(pickle.dumps(_Code()))
    with zipfile.ZipFile(hostile / "code.pt", "w") as script:
        script.writestr("code/data.pkl", pickle.dumps(_Code()))
        script.writestr("code/version", "3")
    with tarfile.open(hostile / "leads-out.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("../../pwned"), io.BytesIO())
    (hostile / "loop").symlink_to("loop")
    for label in ("cat", "Cat"):
        shutil.copytree(place / "good" / "cat", hostile / "upper" / label)
    _folders_of_images(place)
    (hostile / "exit.py").write_text("import os\nos._exit(0)\n")


def _folders_of_images(place: Path) -> None:
    """Folders of which no image can be read, for `--test` and `--synthetic`."""
    tables = {
        "rows-out": '{"file_name": "../../good/cat/0.png", "label": "cat"}',
        "script-label": '{"file_name": "0.png", "label": "<script>"}',
        "deep-row": '{"label":' * 1000 + "1" + "}" * 1000,
    }
    for name in ("links-out", "bombs"):
        (place / "hostile" / name / "cat").mkdir(parents=True)
    (place / "hostile" / "links-out" / "cat" / "0.png").symlink_to("/etc/hostname")
    shutil.copy(place / "bad" / "bomb" / "bombs" / "bomb.png", place / "hostile" / "bombs" / "cat")
    for name, row in tables.items():
        (place / "hostile" / name).mkdir()
        shutil.copy(place / "good" / "cat" / "0.png", place / "hostile" / name)
        (place / "hostile" / name / "metadata.jsonl").write_text(row + "\n")


def _export(place: Path, name: str, *, row: dict[str, Any] | None = None, look: dict[str, Any] | None = None) -> None:
    """A copy of the export whose first synthetic row, or whose looks, are changed."""
    copied = place / "hostile" / name
    shutil.copytree(place / "exported", copied)
    table, manifest = copied / "train" / "metadata.jsonl", copied / "manifest.json"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    next(one for one in rows if one["synthetic"]).update(row or {})
    table.write_text("".join(json.dumps(one) + "\n" for one in rows))
    document = json.loads(manifest.read_text())
    for looks in document["looks"].values():
        looks[0].update(look or {})
    manifest.write_text(json.dumps(document))


def _run(place: Path, name: str) -> Path:
    copied = place / "hostile" / name / "00000-x"
    shutil.copytree(next((place / "runs").glob("00000*")), copied)
    return copied
