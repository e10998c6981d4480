"""The images that a family starts from, where it starts from images: which classes are translated into which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from synthaug.data.cache import LabelledImages
from synthaug.errors import SynthaugError
from synthaug.features import FeatureNet
from synthaug.models.inputs import Sources
from synthaug.pipelines.prepare import Prepared
from synthaug.progress import Progress
from synthaug.requests import FitRequest
from synthaug.runs import Run
from synthaug.sampling.sources import NEAR, nearest, remoteness_of_classes, source_classes, source_pixels, sources_of
from synthaug.translators.options import SourceOptions


def choose_source_classes(
    prepared: Prepared, continued: Run | None, train: LabelledImages, judge: FeatureNet, progress: Progress
) -> None:
    """Which classes a family starts from, if it starts from images; noted in the run."""
    model = prepared.config.model
    if not isinstance(model, SourceOptions):
        return
    if len(train.classes) < model.least_classes:
        progress.warn(
            f"{model.family} learns from many classes how images of one class differ. There is no evidence that it is "
            f"of use below about {model.least_classes} classes, and here are {len(train.classes)}: "
            "use --recipe translator, or compare both with evaluate"
        )
    if "translate" in model.modes():
        chosen = continued.facts().sources if continued is not None else {}
        far = {} if chosen or model.source_classes else remoteness_of_classes(train, judge)
        prepared.sources = chosen or source_classes(train.classes, far, model.source_classes)
        for label in prepared.data.targets if model.mode != "vary" else ():
            _say_sources(label, prepared.sources[label], far.get(label, {}), model, train.classes, progress)


def sources_for(request: FitRequest, prepared: Prepared, train: LabelledImages, progress: Progress) -> Sources | None:
    """The images to start from, in a family that needs them."""
    model = prepared.config.model
    if not isinstance(model, SourceOptions):
        return None
    pixels = source_pixels(train, model, prepared.data, prepared.maps, request.cache, progress)
    return replace(sources_of(train, prepared.sources, model.mode), pixels=pixels)


def _say_sources(
    label: str, names: Sequence[str], far: Mapping[str, float], model: SourceOptions, classes: Sequence[str],
    progress: Progress,
) -> None:  # fmt: skip
    """Name the classes that are translated into a target class, and how far they are from it, if that counted.

    Raises:
        SynthaugError: it has no other class to be made from, and the family cannot do without, or the user named none.
    """
    if model.source_classes == [label]:
        raise SynthaugError(
            f"the only source class, {label!r}, is the target class itself",
            f"name another class, such as --source-classes {next(name for name in classes if name != label)}"
            + ("; to vary its own images: --set model.mode=vary" if "vary" in model.modes() else ""),
        )
    close = nearest(far)

    def told(those: Sequence[str]) -> str:
        return ", ".join(f"{name!r} (remoteness {far[name]:.2f})" if name in far else repr(name) for name in those)

    limit = f" (up to {NEAR:g}): {told(close[:1])} is the nearest" if close else ""
    if names:
        progress.say(f"images of {told(names)} are translated to {label!r}")
    elif "vary" in model.modes():
        progress.say(f"no class resembles {label!r} enough to be translated{limit}; its own images are varied")
    else:
        raise SynthaugError(
            f"{model.family} translates images of other classes, but no class resembles {label!r} enough{limit}",
            f"translate them anyway with --source-classes {','.join(close)}, or use --recipe translator, which varies "
            "images too",
        )
