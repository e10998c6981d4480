"""`curate`: a page on which a person accepts and rejects generated images; the decisions stay in the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthaug.data.run_data import RunData
from synthaug.documents import CuratedClass, CurateDocument
from synthaug.errors import SynthaugError
from synthaug.exporters.manifest import MANIFEST, Manifest, is_export, read_manifest
from synthaug.locks import only_writer
from synthaug.page_server import PageServer, way_from_elsewhere
from synthaug.pipelines.by_hand import images_of, run_of
from synthaug.pipelines.candidates import beside_real, of_export, of_run
from synthaug.pipelines.curation_page import CurationPage
from synthaug.progress import Progress, shown
from synthaug.requests import CurateRequest, documented
from synthaug.results.commands import CurateResult
from synthaug.runs import Run, RunLike, find
from synthaug.sampling import curation
from synthaug.sampling.curation import Images
from synthaug.sampling.generate import SeededGenerator, load


@documented(CurateRequest)
def curate(
    target: RunLike | None = None, *, class_: str | Sequence[str] = (), count: int = 100, gate: bool = True,
    seed: int | None = None, checkpoint: str | Path = "best", port: int | None = None,
    runs: str | Path | None = None, device: str = "auto", cache: str | Path | None = None,
    progress: Progress | bool = True,
) -> CurateResult:  # fmt: skip
    """Show generated images beside the real ones that look most like them, until the page or Ctrl-C ends it.

    Raises:
        SynthaugError: there is no such run, export or class; the port is in use; another process curates the run; the
            decisions that the run keeps are damaged.
    """
    return CurateResult.of(run_curate(CurateRequest.of(locals()), shown(progress)))


def run_curate(request: CurateRequest, progress: Progress) -> CurateDocument:
    server = PageServer(request.port)
    try:
        page = _page(request, progress)
        folder = page.run.path / curation.FOLDER
        folder.mkdir(exist_ok=True)
        with only_writer(folder, f"the decisions about {page.run.name!r}"):
            page.kept = curation.read(page.run, page.kept.images)
            file = page.save()
            _announce(server, progress)
            try:
                with server.serving(page):
                    while not page.finished.wait(0.2):
                        pass
            except KeyboardInterrupt as stop:  # every decision is kept already
                if type(stop) is not KeyboardInterrupt:
                    raise
    finally:
        server.close()
    return _document(page, file)


def _announce(server: PageServer, progress: Progress) -> None:
    progress.announce(f"page: {server.url}")
    if (way := way_from_elsewhere(server.port)) is not None:
        progress.announce(f"to open it on your own machine, run there first: {way}")
    progress.say("every decision is kept at once; end with Finish on the page, or Ctrl-C")


def _page(request: CurateRequest, progress: Progress) -> CurationPage:
    target = None if request.target is None else Path(request.target)
    manifest = read_manifest(target / MANIFEST) if target is not None and is_export(target) else None
    run = find(request.target, request.runs) if manifest is None else run_of(manifest, request.runs)
    sampler = _sampler(request, run, manifest)
    data = RunData.open(run)
    labels = list(dict.fromkeys(request.class_ or data.targets or data.classes))
    for label in labels:
        sampler.class_index(label)
    if manifest is None or target is None:
        found = of_run(
            sampler, data, labels, request.count, gate=request.gate, device=request.device, cache=request.cache,
            progress=progress,
        )  # fmt: skip
    else:
        found = of_export(sampler, target, labels, request.count)
    train = data.images("train", request.cache, progress)
    candidates = beside_real(found, train, device=request.device, cache=request.cache, progress=progress)
    kept = curation.read(run, Images.of(sampler))
    title = f"{run.name}, {sampler.trained.checkpoint}" if manifest is None else f"export {target}"
    return CurationPage(run, kept, candidates, train, title)


def _sampler(request: CurateRequest, run: Run, manifest: Manifest | None) -> SeededGenerator:
    """The generator of the images.

    Raises:
        SynthaugError: the run's checkpoint is no longer that of the export, or an option contradicts the export.
    """
    if manifest is None:
        return load(
            run, checkpoint=request.checkpoint, seed=request.seed, device=request.device, cache=request.cache
        )  # fmt: skip
    for name in ("checkpoint", "seed", "gate"):
        if name in request.model_fields_set:
            option = "--no-gate" if name == "gate" else request.option(name)
            raise SynthaugError(
                f"{option} is for a run, and {request.target!r} is an export, which has its images", "leave it out"
            )
    sampler = load(
        run, checkpoint=manifest.run.checkpoint, seed=manifest.seed, truncation=manifest.truncation,
        mode=manifest.mode, inputs=manifest.inputs, device=request.device, cache=request.cache,
    )  # fmt: skip
    if Images.of(sampler) != images_of(manifest):
        raise SynthaugError(
            f"checkpoint {manifest.run.checkpoint!r} of {str(run.path)!r} is not the exported one: its hash differs",
            "give the folder with the run of the export: --runs DIR",
        )
    return sampler


def _document(page: CurationPage, file: str) -> CurateDocument:
    per_class = {}
    for label, found in page.candidates.items():
        counts = page.kept.counts(label, found.indices)
        per_class[label] = CuratedClass(shown=len(found.indices), accepted=counts.accepted, rejected=counts.rejected)
    images = page.kept.images
    return CurateDocument(
        run=str(page.run.path), decisions=file, per_class=per_class, checkpoint=images.checkpoint, seed=images.seed
    )
