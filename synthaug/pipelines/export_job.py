"""What an export works with: the request, the generator, the plans, and what is found while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthaug.data.cache import LabelledImages
from synthaug.data.layout import SplitName
from synthaug.data.plan import ClassPlan
from synthaug.data.run_data import RunData
from synthaug.data.split import SplitRow
from synthaug.documents import UpscaledFakes, UpscalerReference
from synthaug.exporters.looks import LookCount, Tables, typical_enlargement
from synthaug.exporters.manifest import NO_NUMBER, CurationReport, gate_row
from synthaug.exporters.remote import Remote
from synthaug.files import sha256
from synthaug.progress import Progress
from synthaug.registry import plug_ins
from synthaug.requests import ExportRequest
from synthaug.runs import Run
from synthaug.sampling.attributes import RunAttributes, in_text
from synthaug.sampling.critic import Critic
from synthaug.sampling.curation import Choice
from synthaug.sampling.generate import SeededGenerator
from synthaug.sampling.upscaling import TrainedUpscaler
from synthaug.version import __version__

_NOT_LINKED = "some real images could not be linked, and were copied"


@dataclass
class ExportJob:
    """An export; the fields from `tables` on are filled while real images are placed."""

    request: ExportRequest
    sampler: SeededGenerator
    data: RunData
    plans: dict[str, ClassPlan]
    out: Path
    remote: Remote | None
    progress: Progress
    critic: Critic | None = None
    upscaler: TrainedUpscaler | None = None
    fakes: UpscaledFakes | None = None
    choice: Choice | None = None
    tables: Tables = field(default_factory=dict)
    looks: dict[str, list[LookCount]] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def run(self) -> Run:
        return self.sampler.trained.run

    @property
    def root(self) -> Path:
        return self.data.folder.resolve()

    @property
    def heldout(self) -> tuple[SplitName, ...]:
        return ("val", "test") if self.request.with_heldout else ()

    @property
    def conditions_of_real(self) -> dict[str, str]:
        """Path → conditions, for metadata; of the real images of a run with conditions."""
        if self.told is None:
            return {}
        conditions = self.told.conditions
        return {row.path: in_text(conditions.of(k)) for k, row in enumerate(conditions.rows)}

    @property
    def told(self) -> RunAttributes | None:
        """The conditions of the images, in a run with some."""
        return self.sampler.trained.attributes

    @property
    def gate_of_real(self) -> dict[str, Any]:
        """The `gate` column of a real image; its types are those of the synthetic rows."""
        return gate_row(discriminator_score=None if self.critic is None else NO_NUMBER)

    def images(self, side: SplitName) -> LabelledImages:
        """The real images of a split, as the generator was trained on them."""
        return self.data.images(side, self.request.cache, self.progress)

    def rows(self, side: SplitName, label: str) -> list[SplitRow]:
        return [row for row in self.data.split.of(side) if row.label == label]

    def count_real(self, entry: Mapping[str, Any]) -> None:
        """Take over the looks, the file prefix and the JPEG tables of a class from the journal's entry."""
        if entry["split"] == "train":
            self.looks[entry["label"]] = [LookCount.model_validate(look) for look in entry["looks"]]
            self.prefixes[entry["label"]] = entry["prefix"]
            self.tables.update(entry["tables"])
        if not entry["linked"] and _NOT_LINKED not in self.warnings:
            self.warn(_NOT_LINKED)

    def warn(self, line: str) -> None:
        """Show a warning now, and keep it for the manifest."""
        self.warnings.append(line)
        self.progress.warn(line)

    @property
    def reference(self) -> UpscalerReference | None:
        """The upscaler, for documents."""
        if self.upscaler is None:
            return None
        return self.upscaler.reference().model_copy(update={"on_fakes": self.fakes})

    @property
    def enlarged(self) -> dict[str, float]:
        """Class → how many times its synthetic images are enlarged; for classes that get some."""
        fit, side = self.data.config.data.fit, self.sampler.trained.resolution
        filled = [label for label, wanted in self.plans.items() if wanted.generate]
        return {label: typical_enlargement(self.looks[label], fit, side) for label in filled}

    @property
    def by_hand(self) -> CurationReport | None:
        """The decisions by hand, for the manifest."""
        if self.choice is None:
            return None
        return CurationReport(sha256=self.choice.curation.sha256(), only_accepted=self.choice.only_accepted)

    def settings(self) -> dict[str, Any]:
        """Everything that determines the bytes of the export. An export with equal settings can be continued."""
        sources = self.sampler.trained.sources
        return {
            "tool_version": __version__,
            "plug_ins": plug_ins(),
            "run": str(self.run.path),
            "fingerprint": self.data.fingerprint,
            "split": sha256(self.run.split_file),
            "checkpoint": self.sampler.trained.sha256,
            "seed": self.sampler.seed,
            "device": str(self.sampler.trained.device),
            "plans": {label: [p.keep, p.generate] for label, p in self.plans.items()},
            "synthetic_only": self.request.synthetic_only,
            "format": self.request.format,
            "gate": self.data.config.gate.model_dump() if self.request.gate else None,
            "sources": sources and [sources.mode, str(sources.folder), [row.pixel_sha256 for row in sources.rows]],
            "conditions": self.told and self.told.plan.model_dump(),
            "truncation": self.sampler.psi,
            "selection": self.critic and [self.request.select, self.request.share_kept(), self.critic.sha256],
            "by_hand": self.by_hand and self.by_hand.model_dump(),
            "size": self.request.size,
            "upscaler": self.upscaler and self.upscaler.reference().model_dump(),
            "link": self.request.link,
            "heldout": list(self.heldout),
        }
