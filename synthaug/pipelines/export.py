"""`export`: fill up every class with synthetic images; write the dataset, its metadata and its manifest."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from synthaug.data.class_names import check_class_names
from synthaug.data.layout import SplitName
from synthaug.data.parallel import worth_forking
from synthaug.data.plan import plan
from synthaug.data.run_data import RunData
from synthaug.documents import ByHand, ExportDocument, ExportedClass
from synthaug.exporters import FORMATS, real
from synthaug.exporters.croissant import CROISSANT, describe
from synthaug.exporters.destination import ROW_BYTES, check_out, check_space, on_disk, working
from synthaug.exporters.format import Planned
from synthaug.exporters.looks import (
    Tables,
    counted,
    enlargement_warning,
    plain_look,
)
from synthaug.exporters.manifest import (
    MANIFEST,
    GateReport,
    Manifest,
    RunReference,
    SelectionReport,
    SourceData,
    card,
    dump_manifest,
)
from synthaug.exporters.names import file_names, synthetic_prefix
from synthaug.exporters.remote import Remote, packed
from synthaug.exporters.synthetic import Output, SyntheticWriter, ToFill, fill_classes
from synthaug.exporters.workspace import Workspace
from synthaug.files import write_json, write_text
from synthaug.pipelines.balanced_conditions import balanced_sampler, exported_combinations
from synthaug.pipelines.by_hand import choice_of
from synthaug.pipelines.chosen_upscaler import choose_upscaler, upscaled_fakes
from synthaug.pipelines.export_job import ExportJob
from synthaug.pipelines.export_maps import check_maps
from synthaug.pipelines.recommended import recommended_totals
from synthaug.progress import Progress, shown
from synthaug.registry import plug_ins
from synthaug.requests import ExportRequest, documented
from synthaug.requests.options import workers_of
from synthaug.results.commands import ExportResult
from synthaug.runs import RunLike, find
from synthaug.sampling.attributes import in_text
from synthaug.sampling.critic import Critic
from synthaug.sampling.curation import Images
from synthaug.sampling.gate import Gate, gate_of_run
from synthaug.sampling.generate import load
from synthaug.sampling.judgement import REJECTED_BY_HAND
from synthaug.sampling.selection import Rejection, Selector, build_selector
from synthaug.sampling.sources import user_maps
from synthaug.sampling.trained import load_discriminator
from synthaug.tasks import Workers

_THREADS = min(8, os.cpu_count() or 1)


@documented(ExportRequest)
def export(
    run: RunLike | None = None, *, per_class: int | Mapping[str, int] | None = None, recommended: bool = False,
    out: str | Path | None = None, synthetic_only: bool = False, cap: bool = False, strategy: str = "all",
    format: str = "folder", gate: bool = True, truncation: float = 1.0, select: str | None = None,
    keep: float | None = None, mode: str | None = None, inputs: str | Path | None = None,
    where: Sequence[str] | Mapping[str, object] = (), text: str | None = None, balance: Sequence[str] = (),
    curation: str | Path | None = None,
    only_accepted: bool = False, allow_short: bool = False, size: str = "native",
    upscaler: RunLike | None = None, link: bool = False, with_heldout: bool = False, overwrite: bool = False,
    seed: int | None = None, checkpoint: str | Path = "best", runs: str | Path | None = None, device: str = "auto",
    cache: str | Path | None = None, jobs: int | None = None, backend: str = "loky", scheduler: str | None = None,
    progress: Progress | bool = True,
) -> ExportResult:  # fmt: skip
    """Write a dataset in which every class has as many images as asked, real ones first.

    An interrupted export is continued by the same call.

    Raises:
        SynthaugError: options are bad, the output exists, or source images are missing or have changed.
        RunFailed: a class cannot be filled, or the disk is full; nothing is left.
        Interrupted: by a signal; the same call goes on from there.
    """
    return ExportResult.of(run_export(ExportRequest.of(locals()), shown(progress)))


def run_export(request: ExportRequest, progress: Progress) -> ExportDocument:
    FORMATS.get(request.format)  # fails before the work if a package is missing
    workers_of(request).check_reachable()
    remote = Remote.open(request.out) if isinstance(request.out, str) else None
    found = find(request.run, request.runs)
    sampler = load(
        found, checkpoint=request.checkpoint, seed=request.seed, truncation=request.truncation, mode=request.mode,
        inputs=None if request.inputs is None else user_maps(found, request.inputs, request.cache),
        where=request.where, text=request.text,
        device=request.device, cache=request.cache,
    )  # fmt: skip
    selects = request.select is not None
    critic = Critic(load_discriminator(found, request.checkpoint, request.device)) if selects else None
    data = RunData.open(found)
    check_class_names(sampler.classes)
    train = data.split.counts()["train"]
    counts = {label: train.get(label, 0) for label in sampler.classes}
    plans = plan(
        counts, per_class=recommended_totals(found, counts, progress) if request.recommended else request.per_class,
        strategy=request.strategy, cap=request.cap, synthetic_only=request.synthetic_only,
    )  # fmt: skip
    kept, generate = ({label: getattr(p, part) for label, p in plans.items()} for part in ("keep", "generate"))
    sampler = balanced_sampler(sampler, request.balance, kept, generate)
    upscaler = None
    filled = [label for label, wanted in plans.items() if wanted.generate]
    if request.upscaler is not None:
        upscaler = choose_upscaler(request.upscaler, request.runs, data, filled, request.device)
    local = Path("exports") / found.name if request.out is None else Path(request.out)
    out = local.absolute() if remote is None else remote.built_in
    job = ExportJob(request, sampler, data, plans, out, remote, progress, critic, upscaler)
    job.choice = choice_of(request, found, Images.of(sampler), progress)
    check_out(job.out, data=job.root, run=found.path, overwrite=request.overwrite)
    if remote is not None:
        remote.check(overwrite=request.overwrite)
    check_space(job.out, _space(job) - Workspace(job.out).size())
    check_maps(sampler, plans, data.folder, job.out, progress)
    with working(job.out, job.settings(), progress, request.command()) as workspace:
        document = packed(workspace) or _fill(job, workspace)
        if remote is None:
            workspace.finish()
        else:
            remote.upload(workspace, document, progress, overwrite=request.overwrite)
    return document


def _fill(job: ExportJob, workspace: Workspace) -> ExportDocument:
    """Place the real images and generate the others, except those that an interrupted export has finished."""
    outputs = {label: Output() for label in job.plans}
    placed: set[tuple[str, str]] = set()
    for entry in workspace.finished(job.sampler.classes):
        if entry["kind"] == "real":
            placed.add((entry["split"], entry["label"]))
            job.count_real(entry)
        else:
            outputs[entry["label"]].count(entry)
    _place_real_images(job, workspace, placed)
    totals = {label: plan.keep + plan.generate for label, plan in job.plans.items()}
    FORMATS.get(job.request.format).check(Planned(totals, job.looks, job.heldout))
    upscaler, filled = job.upscaler, [label for label, plan in job.plans.items() if plan.generate]
    if upscaler is not None and not upscaler.reference().used:
        job.warn(upscaler.reference().text())
        upscaler = None
    elif upscaler is not None and filled:
        job.fakes = upscaled_fakes(upscaler, job.sampler, job.data, filled, job.request.cache, job.progress)
        if not job.fakes.better:
            job.warn(f"the upscaler {upscaler.run.name!r} is no better than bicubic interpolation: {job.fakes.text()}")
    if extrapolated := job.sampler.extrapolated(filled):
        job.warn(
            f"no training image of {', '.join(extrapolated)} has {in_text(job.sampler.where)}: these images are "
            "extrapolated"
        )
    scale = 1 if upscaler is None else upscaler.scale
    resampled = {label: factor / scale for label, factor in job.enlarged.items()}
    if warning := enlargement_warning(resampled, scale * job.sampler.trained.resolution):
        job.warn(warning)
    done = sum(output.written for output in outputs.values())
    gate = None
    wanted = [
        ToFill(label, p.generate, job.prefixes[label], workspace.journal(label))
        for label, p in job.plans.items()
        if p.generate > 0
    ]
    total = sum(one.count for one in wanted)
    if wanted and (job.request.gate or job.critic is not None):
        gate = _gate(job, [one.label for one in wanted])
    writer = SyntheticWriter(
        job.sampler, gate, job.data.config.data.fit, job.tables, [row.path for row in job.data.split.of("train")],
        job.looks, upscaler, job.request.allow_short,
        forks=job.sampler.trained.device.type == "cpu" and worth_forking(total - done), choice=job.choice,
    )  # fmt: skip
    workers = workers_of(job.request)
    with job.progress.task("synthetic images", total, "images") as task:
        task.advance(done)
        started = time.monotonic()
        fill_classes(writer, wanted, outputs, None if workers == Workers() else workers, task)
        seconds = max(time.monotonic() - started, 1e-9)
    made = sum(output.written for output in outputs.values()) - done
    return _finish(job, workspace, outputs, gate, made / seconds if made else None)


def _space(job: ExportJob) -> int:
    """About how many bytes the export will take, from the sizes of the source files."""
    needed, side = 0, job.sampler.trained.resolution
    for label, wanted in job.plans.items():
        sizes = [on_disk(real.file_size(job.root, row)) for row in job.rows("train", label)]
        mean = sum(sizes) / max(len(sizes), 1)
        square = on_disk(side * side * job.sampler.trained.channels)
        synthetic = mean if job.request.size == "native" else min(mean, square)
        needed += round(wanted.generate * (synthetic + ROW_BYTES))
        needed += round(wanted.keep * (ROW_BYTES + (0 if job.request.link else mean)))
    for name in job.heldout:
        sizes = [on_disk(real.file_size(job.root, row)) for row in job.data.split.of(name)]
        needed += len(sizes) * ROW_BYTES + (0 if job.request.link else sum(sizes))
    return needed


def _place_real_images(job: ExportJob, workspace: Workspace, placed: set[tuple[str, str]]) -> None:
    """Compare every real image of the export with the split, copy it, and record its look."""
    sides: tuple[SplitName, ...] = ("train", *job.heldout)
    todo = [(side, label, rows) for side in sides for label in job.sampler.classes if (rows := job.rows(side, label))]
    todo = [work for work in todo if work[:2] not in placed]
    with job.progress.task("real images", sum(len(rows) for _, _, rows in todo), "images") as task:
        for side, label, rows in todo:
            tables: Tables = {}
            images = list(real.read(job.root, rows, tables, task, _THREADS))
            entry = _place_class(job, workspace, side, label, images, tables)
            workspace.journal(label).record(entry)
            job.count_real(entry)
    for label in job.plans:
        (workspace.tree / "train" / label).mkdir(parents=True, exist_ok=True)
        if label not in job.looks:
            job.looks[label] = counted([plain_look(job.sampler.trained.resolution, job.sampler.trained.channels)])
            job.prefixes[label] = synthetic_prefix([])


def _place_class(
    job: ExportJob, workspace: Workspace, side: SplitName, label: str, images: list[real.RealImage], tables: Tables
) -> dict[str, Any]:
    """Copy or link the images of a class, and return the journal's entry."""
    train = side == "train"
    kept = real.chosen(images, job.plans[label].keep, job.sampler.seed) if train else images
    names = file_names(image.row.path for image in kept)
    looks = [image.look for image in images] if train else []
    if job.request.size == "model":
        square = {"width": job.sampler.trained.resolution, "height": job.sampler.trained.resolution}
        looks = [look.model_copy(update=square) for look in looks]
    return {
        "kind": "real",
        "split": side,
        "label": label,
        "linked": real.place(kept, names, workspace.tree / side / label, link=job.request.link),
        "rows": real.rows(kept, names, label, job.sampler.class_index(label), job.gate_of_real, job.conditions_of_real),
        "looks": [look.model_dump(exclude_defaults=True) for look in counted(looks)],
        "tables": {look.tables: tables[look.tables] for look in looks if look.tables is not None},
        "prefix": synthetic_prefix(names),
    }


def _gate(job: ExportJob, labels: Sequence[str]) -> Gate:
    if job.request.gate:
        gate = gate_of_run(
            job.data, job.images("train"), device=job.request.device, cache=job.request.cache, progress=job.progress
        )
    else:
        gate = Gate.without_checks(job.sampler.classes)
    if job.request.select is not None and job.critic is not None:
        keep, held_out = job.request.share_kept(), partial(job.images, "val")
        gate.selector = build_selector(job.request.select, keep, job.critic, job.sampler, held_out, job.progress)
    gate.prepare(map(job.sampler.class_index, labels))
    return gate


def _finish(
    job: ExportJob, workspace: Workspace, outputs: Mapping[str, Output], gate: Gate | None, speed: float | None
) -> ExportDocument:
    """Write metadata, manifest and card, and convert the tree to the requested format."""
    per_class = _per_class(job, outputs)
    for side in ("train", *job.heldout):
        workspace.write_metadata(side)
    manifest = _manifest(job, per_class, gate)
    write_json(workspace.tree / MANIFEST, dump_manifest(manifest))
    write_text(workspace.tree / "README.md", card(manifest))
    FORMATS.get(job.request.format).pack(workspace.tree)
    write_json(workspace.tree / CROISSANT, describe(manifest, workspace.tree))
    out = str(job.out) if job.remote is None else job.remote.url
    return ExportDocument(
        out=out, per_class=per_class, manifest=f"{out}/{MANIFEST}", upscaler=job.reference, images_per_second=speed
    )


def _per_class(job: ExportJob, outputs: Mapping[str, Output]) -> dict[str, ExportedClass]:
    """The counts of each class. Adds a warning for each class with too few images."""
    per_class, enlarged = {}, job.enlarged
    for label, wanted in job.plans.items():
        output = outputs[label]
        short = wanted.generate - output.written
        per_class[label] = ExportedClass(
            asked=wanted.want, real=wanted.keep, synthetic=output.written,
            rejected=dict(sorted(output.rejected.items())), short=short, enlarged=enlarged.get(label),
            sources=len(output.sources) if output.sources else None,
            combinations=exported_combinations(job.sampler, label, output.combinations),
            by_hand=ByHand(accepted=output.accepted_by_hand, rejected=output.rejected[REJECTED_BY_HAND]) or None,
        )  # fmt: skip
        if short:
            reasons = ", ".join(f"{reason} {n}" for reason, n in output.rejected.most_common())
            job.warn(f"class {label!r} has {wanted.want - short} instead of {wanted.want} images (rejected: {reasons})")
    return per_class


def _manifest(job: ExportJob, per_class: dict[str, ExportedClass], gate: Gate | None) -> Manifest:
    trained = job.sampler.trained
    filled = {label: job.sampler.class_index(label) for label, p in job.plans.items() if p.generate}
    gates = selection = None
    if gate is not None and job.request.gate:
        gates = GateReport(features=gate.features, limits={label: gate.thresholds(k) for label, k in filled.items()})
    if gate is not None and gate.selector is not None:
        selection = _selection(job, gate.selector, filled)
    counts = job.data.split.counts()
    run = RunReference(
        name=job.run.name, path=str(job.run.path.resolve()), seed=trained.seed, checkpoint=trained.checkpoint,
        checkpoint_sha256=trained.sha256, kimg=trained.kimg,
    )  # fmt: skip
    return Manifest(
        export=ExportDocument(out=".", per_class=per_class, manifest=MANIFEST, images_per_second=None),
        format=job.request.format, size=job.request.size, synthetic_only=job.request.synthetic_only,
        seed=job.sampler.seed,
        run=run,
        data=SourceData(name=job.root.name, fingerprint=job.data.fingerprint), classes=list(trained.classes),
        targets=list(trained.targets),
        heldout={side: {label: n for label, n in counts[side].items() if n} for side in job.heldout}, gates=gates,
        mode=trained.sources and trained.sources.mode, inputs=trained.sources and trained.sources.inputs,
        conditions=job.told and job.told.plan, truncation=job.sampler.psi, selection=selection, curation=job.by_hand,
        upscaler=job.reference, device=str(trained.device),
        plug_ins=plug_ins(),
        config=job.data.config.model_dump(mode="json"), looks={label: job.looks[label] for label in filled},
        quantisation=dict(sorted(job.tables.items())), sides="cut", warnings=list(job.warnings),
    )  # fmt: skip


def _selection(job: ExportJob, selector: Selector, filled: Mapping[str, int]) -> SelectionReport:
    return SelectionReport(
        method=cast(Literal["drs", "top-k"], job.request.select), keep=selector.keep,
        discriminator_sha256=selector.critic.sha256, slope=selector.slope if isinstance(selector, Rejection) else None,
        limits={label: selector.limits(k) for label, k in filled.items()},
    )  # fmt: skip
