"""The metrics of the table. Each takes its score from the comparisons of the context."""

from __future__ import annotations

from synthaug.documents import Score
from synthaug.metrics import ms_ssim
from synthaug.metrics.context import ClassContext, Context
from synthaug.metrics.memorisation import C_T_FLOOR
from synthaug.metrics.spread import proportion_range
from synthaug.metrics.table import metric


def _fidelity(context: Context, name: str) -> Score | None:
    found = context.fidelity
    if found is None:
        return None
    return Score.of(getattr(found.synthetic, name), getattr(found.floor, name) if found.floor else None)


@metric(
    "KID", decimals=4, chart="KID: distance from real images, lower is better", column="KID", floor_column="real KID"
)
def kid(context: Context) -> Score | None:
    """Distance between synthetic and real images; lower is better, 0 is equal."""
    return _fidelity(context, "kid")


@metric("FID", decimals=1)
def fid(context: Context) -> Score | None:
    """An older distance, inflated by few images; lower is better. Compare with real images, not with papers."""
    return _fidelity(context, "fid")


@metric("Precision", column="precision")
def precision(context: Context) -> Score | None:
    """Share of synthetic images that lie among the real ones; higher is better."""
    return _fidelity(context, "precision")


@metric("Recall", column="recall")
def recall(context: Context) -> Score | None:
    """Share of real images that lie among the synthetic ones; higher is better."""
    return _fidelity(context, "recall")


@metric("Density")
def density(context: Context) -> Score | None:
    """How densely real images surround the synthetic ones; real images score about 1."""
    return _fidelity(context, "density")


@metric(
    "Coverage",
    chart="Coverage: share of real images with a sample nearby, higher is better",
    unit_interval=True,
    column="coverage",
    floor_column="real cov.",
)
def coverage(context: Context) -> Score | None:
    """Share of real images with a synthetic one nearby; higher is better."""
    return _fidelity(context, "coverage")


@metric("Missed clusters", pooled=False, decimals=1)
def missed_clusters(context: ClassContext) -> Score | None:
    """Groups of similar real images (clusters) without any synthetic image; new real images miss some, too."""
    found = context.clusters
    return Score(value=found.missed, floor=context.clusters_floor, text=str(found)) if found else None


@metric("Spread ratio", chart="Spread ÷ that of real images: far below 1 means too similar")
def pairwise_ratio(context: Context) -> Score | None:
    """Mean distance of two synthetic images ÷ that of two real ones; far below 1 means too similar."""
    found = context.diversity
    return Score.of(found.pairwise, found.pairwise_floor) if found else None


@metric("Vendi ratio")
def vendi_ratio(context: Context) -> Score | None:
    """Effective number of different images, synthetic ÷ real; far below 1 means too similar."""
    found = context.diversity
    return Score.of(found.vendi, found.vendi_floor) if found else None


@metric("MS-SSIM ratio")
def ms_ssim_ratio(context: Context) -> Score | None:
    """Similarity of two synthetic images ÷ that of two real ones; far above 1 means too similar."""
    if not isinstance(context, ClassContext) or context.pixels is None or context.real_pictures is None:
        return None
    found = ms_ssim.ms_ssim_ratio(context.real_pictures, context.pixels, rng=context.to_pair)
    return Score.of(*found) if found else None


@metric("Duplicates", column="duplicates")
def duplicate_rate(context: Context) -> Score | None:
    """Share of synthetic images that nearly repeat another one; lower is better."""
    found = context.diversity
    return Score.of(found.duplicates, found.duplicate_floor) if found else None


@metric("Agreement")
def agreement(context: Context) -> Score | None:
    """Share of synthetic images that a classifier of real images gives to their class; higher is better."""
    return context.agreement


@metric("Detection AUC", chart="Told apart from real images (AUC): 0.5 is chance, 1 is always", unit_interval=True)
def detect_auc(context: Context) -> Score | None:
    """How well a classifier tells synthetic from real images; 0.5 is not at all, 1 always."""
    return context.detection


@metric(
    "GAN-train",
    chart="GAN-train: real images recognised by a classifier of synthetic ones, higher is better",
    unit_interval=True,
)
def gan_train(context: Context) -> Score | None:
    """Share of held-out real images that a classifier recognises after training on synthetic ones; higher is better."""
    return Score.of(context.useful.gan_train, context.useful.gan_train_floor) if context.useful else None


@metric(
    "GAN-test",
    chart="GAN-test: synthetic images recognised by a classifier of real ones, higher is better",
    unit_interval=True,
)
def gan_test(context: Context) -> Score | None:
    """Share of synthetic images that a classifier recognises after training on real ones; higher is better."""
    return Score.of(context.useful.gan_test, context.useful.gan_test_floor) if context.useful else None


@metric("DCR", pooled=False, column="DCR")
def dcr(context: ClassContext) -> Score | None:
    """Distance of synthetic images to the nearest training image ÷ that of held-out images; below 1 is closer."""
    return Score.of(context.memory.dcr)


@metric("Authenticity", pooled=False)
def authenticity(context: ClassContext) -> Score | None:
    """Share of synthetic images no closer to a training image than its own nearest neighbour is; higher is better."""
    found = context.memory
    if found.authenticity is None:
        return None
    return Score.of(proportion_range(found.authenticity, context.n_synthetic), found.authenticity_floor)


@metric("C_T", pooled=False, decimals=2)
def c_t(context: ClassContext) -> Score | None:
    """A test for copying, as a z-score; below −3 is closer to the training images than held-out images are."""
    found = context.memory.c_t
    return Score(value=found, floor=C_T_FLOOR) if found is not None else None
