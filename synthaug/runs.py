"""Run folders: the facts of a run, new folders without races, `latest`, status and metrics."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from synthaug.config import Config, Resolved, parse_yaml, validate_stored
from synthaug.documents import Condition, EvaluateDocument, FitDocument, WorkflowDocument
from synthaug.documents.base import in_words
from synthaug.errors import SynthaugError, shell_command, suggest
from synthaug.files import DISK_FULL, move, write_json, write_text
from synthaug.locks import only_writer
from synthaug.parsing import YAML_BYTES, ParseError, read_json, read_text

FORMAT_VERSION = 1
_NUMBERED = re.compile(r"(\d{5})-.+")


def default_root() -> Path:
    """`$SYNTHAUG_RUNS`, or `./runs`."""
    return Path(os.environ.get("SYNTHAUG_RUNS") or "runs")


class StartedFrom(BaseModel):
    """The checkpoint that a fine-tuned run started from (`fit --from`); `sha256` is of its generator's weights."""

    model_config = ConfigDict(frozen=True)

    run: Path
    checkpoint: str
    sha256: str


class RunFacts(BaseModel):
    """The data and the tool that a run was made with. `config.yaml` has them beside the configuration.

    `data` is the data folder, `fingerprint` is of its images, `targets` are the classes to generate images of. Fields
    with a default may be missing in the files of old runs.
    """

    model_config = ConfigDict(frozen=True)

    format_version: int = FORMAT_VERSION
    tool_version: str = "unknown"
    data: Path
    data_url: str | None = None  # where the shards in `data` were fetched from
    fingerprint: str
    classes: list[str]
    targets: list[str]
    channels: int
    precision: str = "32-true"
    started_from: StartedFrom | None = None
    features_sha256: str | None = None  # of the monitor's net, if it is a file or a download
    conditions: list[Condition] = []  # columns that the generator is told beside the class
    sources: dict[str, list[str]] = {}  # class → the classes translated into it, in families that start from images

    @model_validator(mode="after")
    def _fits_together(self) -> RunFacts:
        if len({*self.classes}) < len(self.classes):
            raise ValueError("classes names a class twice")
        if self.channels not in (1, 3):
            raise ValueError(f"channels = {self.channels}: images have 1 or 3")
        if unknown := sorted({*self.targets, *self.sources} - {*self.classes}):
            raise ValueError(f"the target {unknown[0]!r} is not among the classes")
        return self


class Status(BaseModel):
    """`status.json`. `state` is running, finished, interrupted or failed."""

    model_config = ConfigDict(extra="allow")

    state: str = "unknown"
    kimg: float | None = None
    total_kimg: float | None = None
    updated: str | None = None
    best_checkpoint: str | None = None
    last_checkpoint: str | None = None


@dataclass(frozen=True)
class Run:
    """A run folder on disk."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def config_file(self) -> Path:
        return self.path / "config.yaml"

    @property
    def split_file(self) -> Path:
        return self.path / "split.csv"

    @property
    def maps_file(self) -> Path:
        """The maps of the images in `split_file`, in a family that paints maps of a folder."""
        return self.path / "maps.csv"

    @property
    def conditions_file(self) -> Path:
        """The values of the conditions of the images in `split_file`, of a run with conditions."""
        return self.path / "conditions.csv"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def preview(self) -> Path:
        """The page that `fit --preview` leaves."""
        return self.path / "preview.html"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def config(self) -> Config:
        """The resolved configuration of this run.

        Raises:
            SynthaugError: `config.yaml` is damaged.
        """
        tree = self._config_tree().get("config", {})
        if not isinstance(tree, dict):
            raise self._damaged(f"config.yaml: config = {tree!r} is not a mapping")
        try:
            return validate_stored(tree)
        except SynthaugError as error:
            raise self._damaged(f"config.yaml: {error.message}") from error

    def facts(self) -> RunFacts:
        """The data and the tool that this run was made with.

        Raises:
            SynthaugError: `config.yaml` is damaged.
        """
        try:
            return RunFacts.model_validate(self._config_tree())
        except ValidationError as error:
            raise self._damaged(f"config.yaml: {in_words(error)}") from error

    def _config_tree(self) -> dict[str, Any]:
        try:
            tree = parse_yaml(read_text(self.config_file, YAML_BYTES), "config.yaml")
        except SynthaugError as error:
            raise self._damaged(error.message) from error
        except ParseError as error:
            raise self._damaged(f"config.yaml {error}") from error
        except OSError as error:
            raise self._damaged(f"config.yaml cannot be read: {error.strerror}") from error
        version = tree.get("format_version", FORMAT_VERSION)
        if version not in range(1, FORMAT_VERSION + 1):
            raise SynthaugError(
                f"the run {str(self.path)!r} has the format version {version!r}, not {FORMAT_VERSION}",
                f"use synthaug {tree.get('tool_version', 'of its time')}",
            )
        return tree

    def _damaged(
        self, reason: str, hint: str = "restore the file from a copy, or train again with `synthaug fit`"
    ) -> SynthaugError:
        return SynthaugError(f"the run {str(self.path)!r} is damaged: {reason}", hint)

    def writing(self) -> AbstractContextManager[None]:
        """Hold the run's lock, which whoever writes into the run must hold.

        Raises:
            Held: another process holds it.
        """
        return only_writer(self.path, f"the run {str(self.path)!r}")

    def reference(self) -> str:
        """How a command names this run: by its name in the usual folder of runs, else by its path."""
        path = self.path.resolve()
        return self.name if path.parent == default_root().resolve() else str(path)

    def resuming(self) -> str:
        """The command that continues the training, to be pasted; without the folder of images if that is lost."""
        try:
            facts = self.facts()
            data = facts.data_url or str(facts.data)
        except SynthaugError:
            data = "DATA"
        return shell_command("fit", data, resume=self.path)

    def status(self) -> dict[str, Any]:
        """The contents of `status.json`: see `Status`.

        Raises:
            SynthaugError: it is missing or damaged.
        """
        file = self.path / "status.json"
        try:
            return Status.model_validate(read_json(file)).model_dump(exclude_unset=True)
        except (ValidationError, ParseError, OSError) as error:
            reason = f"status.json {error}"
            if isinstance(error, ValidationError):
                reason = f"status.json: {in_words(error)}"
            elif isinstance(error, OSError):
                reason = "status.json cannot be read"
            quoted = shlex.quote(str(file))
            hint = f"write it anew: rm -f {quoted}; echo '{{}}' > {quoted}; {self.resuming()}"
            raise self._damaged(reason, hint) from error

    def set_status(self, **values: Any) -> None:
        """Merge `values` into `status.json`."""
        file = self.path / "status.json"
        current = self.status() if file.exists() else {}
        write_json(file, {**current, **values, "updated": datetime.now(timezone.utc).isoformat(timespec="seconds")})

    def log(self, line: str) -> None:
        """Append a line with the time to `log.txt`."""
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(timezone.utc).isoformat(timespec='seconds')} {line}\n")

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        with self.metrics_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(row)) + "\n")

    def replace_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Rewrite `metrics.jsonl`: a resumed run drops the rows after its checkpoint."""
        write_text(self.metrics_file, "".join(json.dumps(row) + "\n" for row in rows))

    def metrics(self) -> list[dict[str, Any]]:
        """All rows of `metrics.jsonl`, without lines that are damaged, such as one that a crash cut short."""
        rows = []
        if self.metrics_file.is_file():
            for line in self.metrics_file.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError):
                    row = json.loads(line)
                    if isinstance(row, dict) and "kind" in row and isinstance(row.get("kimg"), (int, float)):
                        rows.append(row)
        return rows


RunLike = str | Path | Run | FitDocument | EvaluateDocument | WorkflowDocument
"""How Python functions take a run: its path, name or number, itself, or the result of `fit`, `evaluate` or `run`."""


def write_config(run: Run, resolved: Resolved, facts: RunFacts) -> None:
    """Write `config.yaml`: the facts, the configuration, and the origin of each of its values."""
    document = {
        **facts.model_dump(mode="json", exclude_none=True),
        "config": resolved.config.model_dump(mode="json"),
        "origins": dict(resolved.origins),
    }
    write_text(run.config_file, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def create(root: Path, description: str, fill: Callable[[Run], None] = lambda run: None) -> Run:
    """Make `root/NNNNN-description` with the next number. Two processes may do this at the same time.

    Args:
        root: the folder of runs; made if it is missing.
        description: of the run.
        fill: writes the first files. The folder appears with them or, after an error or a kill, not at all.

    Raises:
        SynthaugError: `root` cannot be written.
        OSError: the disk is full.
    """
    slug = re.sub(r"[^A-Za-z0-9.=_-]+", "-", description).strip("-.")[:80] or "run"
    unfinished = root / ".new"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".lock"):
            shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
            unfinished.mkdir()
            try:
                fill(Run(unfinished))
                taken = [int(m[1]) for m in (_NUMBERED.fullmatch(p.name) for p in root.iterdir()) if m]
                made = root / f"{max(taken, default=-1) + 1:05d}-{slug}"
                move(unfinished, made)
                return Run(made)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        message = f"cannot write runs into {str(root)!r}: {error.strerror}"
        raise SynthaugError(message, "give a writable folder with --runs") from error


def point_latest(run: Run) -> None:
    """Make the link `latest` beside the run point to it."""
    root = run.path.parent
    with FileLock(root / ".lock"):
        temporary = root / ".latest"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(run.name)
        move(temporary, root / "latest")


def all_runs(root: Path) -> list[Run]:
    """The runs under `root`, oldest first."""
    if not root.is_dir():
        return []
    return [Run(p) for p in sorted(root.iterdir()) if _NUMBERED.fullmatch(p.name) and (p / "config.yaml").exists()]


def find(reference: str | Path | None = None, root: Path | None = None) -> Run:
    """The run with this path, name or number; None is the latest run.

    Raises:
        SynthaugError: there is no such run.
    """
    root = default_root() if root is None else root
    runs = all_runs(root)
    if reference is None:
        latest = root / "latest"
        if (latest / "config.yaml").exists():
            return Run(latest.resolve())
        if not runs:
            hint = "train one with `synthaug fit DATA`, or give the folder of the runs with --runs"
            raise SynthaugError(f"there is no run in {str(root)!r}", hint)
        return runs[-1]
    for candidate in (Path(reference), root / reference):
        if (candidate / "config.yaml").exists():
            return Run(candidate.resolve())
    name = str(reference)
    for run in runs:
        if name.isdecimal() and run.name[:5] == name.lstrip("0").zfill(5):
            return run
    if Path(reference).is_dir():
        raise SynthaugError(f"{name!r} is not a run: it has no config.yaml", "give a folder that `synthaug fit` made")
    raise SynthaugError(f"there is no run {name!r} in {str(root)!r}", suggest(name, [r.name for r in runs]))
