"""Evaluations that never happened, with numbers that agree with one another, for the tests of the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from synthaug.data.cache import LabelledImages
from synthaug.data.split import SplitRow
from synthaug.documents import (
    Arm,
    BiasRow,
    ChangedImage,
    ChangedImages,
    CheckDocument,
    ClassQuality,
    ClassScores,
    CombinationDocument,
    Contrast,
    CopyPair,
    CurvePoint,
    EvaluateDocument,
    EvaluatedSize,
    Interval,
    LearningCurve,
    NextStep,
    QualityScores,
    Range,
    Recommendation,
    Score,
    Sharpness,
    TargetCurve,
    TargetVerdict,
    Verdict,
    VerdictDocument,
)
from synthaug.evaluation.images import Origins
from synthaug.evaluation.report.material import ReportMaterial
from synthaug.models.inputs import Sources
from synthaug.sampling.sources import RunSources

SKILL = {  # how often an arm gets a rare class right
    "real": 0.35,
    "class-weights": 0.44,
    "oversample": 0.48,
    "classical": 0.56,
    "synthetic": 0.58,
    "synthetic+classical": 0.66,
}
CONTRASTS = ("synthetic-oversample", "synthetic+classical-classical")


def arm(
    name: str,
    classes: list[str],
    targets: list[str],
    rng: np.random.Generator,
    seeds: int,
    skill: float,
    per_class: int,
) -> Arm:
    """Scores of predictions drawn at random: targets are right with `skill`, else mostly taken for a neighbour."""
    k = len(classes)
    truth = np.repeat(np.arange(k), per_class)
    table, f1s, macros, balanced, geometric = np.zeros((k, k), int), [], [], [], []
    for _ in range(seeds):
        right = np.array([skill if c in targets else 0.9 for c in classes]) + rng.normal(0, 0.03, k)
        wrong = np.where(rng.random(len(truth)) < 0.7, (truth + 1) % k, rng.integers(0, k, len(truth)))
        guess = np.where(rng.random(len(truth)) < right[truth], truth, wrong)
        table += confusion_matrix(truth, guess, labels=range(k))
        _, recall, f1, _ = precision_recall_fscore_support(truth, guess, labels=range(k), zero_division=0)
        f1s.append(f1)
        macros.append(float(f1.mean()))
        balanced.append(float(recall.mean()))
        geometric.append(float(np.prod(np.maximum(recall, 1e-9)) ** (1 / k)))
    recall = table.diagonal() / table.sum(1)
    precision = table.diagonal() / np.maximum(table.sum(0), 1)
    f1 = np.mean(f1s, axis=0)
    return Arm(
        share=0.25 if name.startswith("synthetic") else 0.0,
        steps=600,
        macro_f1=interval(macros),
        balanced_accuracy=interval(balanced),
        geometric_mean=interval(geometric),
        per_class={
            c: ClassScores(
                precision=precision[i],
                recall=recall[i],
                f1=f1[i],
                average_precision=min(1.0, f1[i] + 0.06),
            )
            for i, c in enumerate(classes)
        },
        f1_per_seed={c: [float(f[i]) for f in f1s] for i, c in enumerate(classes)},
        confusion=table.tolist(),
    )


def interval(values: list[float]) -> Interval:
    mean, spread = float(np.mean(values)), float(np.std(values)) + 0.01
    return Interval(mean=mean, low=max(0, mean - 2 * spread), high=min(1, mean + 2 * spread), per_seed=values)


def span(mean: float, half: float) -> Range:
    return Range(mean=mean, low=mean - half, high=mean + half)


def changed(classes: list[str], targets: list[str], seeds: int, per_class: int) -> ChangedImages:
    """Ten images of the first target class are newly right, three of the last one newly wrong."""

    def image(label: str, number: int, *, right: bool) -> ChangedImage:
        k = classes.index(label)
        wrong, hits = classes[(k + 1) % len(classes)], (0, seeds) if right else (seeds, 0)
        before, after = (wrong, label) if right else (label, wrong)
        return ChangedImage(
            test=f"{label}/{40 * k + number}.png", label=label, before=before, after=after,
            right_before=hits[0], right_after=hits[1],
        )  # fmt: skip

    of = targets or classes
    right = [image(of[0], n, right=True) for n in range(min(10, per_class))]
    wrong = [image(of[-1], n, right=False) for n in range(min(3, per_class))]
    return ChangedImages(
        before="classical", after="synthetic", classifiers_before=seeds, classifiers_after=seeds,
        right=len(right), wrong=len(wrong), newly_right=right, newly_wrong=wrong,
    )  # fmt: skip


def quality(targets: list[str], gated: bool, rng: np.random.Generator) -> CheckDocument:
    better = 0.7 if gated else 1.0
    per_class = {
        label: ClassQuality(
            n_real=60,
            n_synthetic=500,
            n_compared=60,
            scores={
                "kid": Score.of(span(better * (0.041 + 0.02 * rng.random()), 0.006), span(0.001, 0.002)),
                "fid": Score(value=101.3 * better),
                "precision": Score(value=0.71),
                "recall": Score(value=0.42),
                "density": Score(value=0.83),
                "coverage": Score(value=0.61 / better * 0.9, floor=span(0.95, 0.03)),
                "pairwise_ratio": Score(value=0.91, floor=span(1.0, 0.04)),
                "duplicate_rate": Score(value=0.0 if gated else 0.034, floor=Range(mean=0.0, low=0.0, high=0.0)),
                "dcr": Score.of(span(0.97, 0.05)),
            },
            collapse="healthy" if i % 2 == 0 else "thinning",
            memorisation="clear" if i % 2 == 0 else "insufficient held-out data",
            reasons=[]
            if i % 2 == 0
            else ["coverage 0.61 is below 0.70 of what real images reach (0.95)", "only 4 held-out images"],
        )
        for i, label in enumerate(targets)
    }
    pairs = [CopyPair(label=t, synthetic=f"{t}/000012.png", train=f"{t}/a.png", distance=0.1) for t in targets]
    return CheckDocument(
        per_class=per_class,
        features="efficientnet_lite0@1f2e3d4c5b6a",
        reference="test",
        gated=gated,
        worst_pairs=pairs,
    )


def bias(label: str, first: int) -> list[BiasRow]:
    """What the synthetic images change, the largest change first; `first`: the class's first image of `material`."""

    def row(name: str, real: float, difference: float, *, half: float = 0.2, example: str | None = None) -> BiasRow:
        return BiasRow(
            name=name,
            real=real,
            synthetic=real + 0.1 * difference,
            difference=span(difference, half),
            floor=span(0.01, 0.15),
            beyond=abs(difference) > half + 0.2,
            example=example,
        )

    named = [row("brightness", 0.41, 1.3), row("cluster 3 of 12", 0.11, -0.9, example=f"{label}/{first}.png")]
    named += [row("object size", 0.3, 0.45), row("contrast", 0.22, -0.3), row("saturation", 0.5, 0.2)]
    return named + [
        row(f"cluster {i} of 12", 0.08, 0.15 - 0.02 * i, example=f"{label}/{first + i}.png") for i in range(4, 12)
    ]


def measured(scores: QualityScores, better: float) -> None:
    """Fill in every metric, each beside its floor."""
    coverage = scores.score("coverage")
    scores.scores |= {
        "fid": Score(value=scores.score("fid").value, floor=span(30.2, 4.0)),
        "precision": Score(value=scores.score("precision").value, interval=span(0.71, 0.05), floor=span(0.93, 0.04)),
        "recall": Score(value=scores.score("recall").value, floor=span(0.9, 0.05)),
        "coverage": Score(value=coverage.value, interval=span(coverage.value or 0.0, 0.06), floor=coverage.floor),
        "vendi_ratio": Score(value=0.74, floor=span(1.0, 0.06)),
        "ms_ssim_ratio": Score.of(span(1.31, 0.1), span(1.0, 0.07)),
        "agreement": Score(value=0.88, floor=span(0.94, 0.03)),
        "detect_auc": Score.of(span(0.83, 0.04), span(0.5, 0.06)),
        "gan_train": Score.of(span(0.62, 0.07), span(0.81, 0.06)),
        "gan_test": Score.of(span(0.9, 0.04), span(0.85, 0.05)),
    }


def with_everything(document: EvaluateDocument) -> EvaluateDocument:
    """The same evaluation with all that may be left out: pooled and further measures, biases, curve, advice."""
    for check in (document.quality, document.generator_quality):
        if check is None:
            continue
        better = 0.7 if check.gated else 1.0
        for label, quality in check.per_class.items():
            measured(quality, better)
            quality.scores |= {
                "missed_clusters": Score(value=3, text="3 of 12", floor=span(0.4, 0.4)),
                "authenticity": Score.of(span(0.55, 0.06), span(0.52, 0.1)),
                "c_t": Score(value=-0.4, floor=span(0.0, 1.96)),
            }
            quality.bias = bias(label, 40 * document.classes.index(label))
        check.pooled = QualityScores(
            n_real=120, n_synthetic=120, n_compared=120,
            scores={
                "kid": Score.of(span(0.03, 0.004), span(0.001, 0.001)),
                "coverage": Score(value=0.7, floor=span(0.95, 0.02)),
            },
        )  # fmt: skip
        measured(check.pooled, better)
    verdict = document.verdict
    for entry in (verdict, *verdict.details.values()):
        entry.against_best = {
            "synthetic": Contrast(mean=0.02, low=-0.05, high=0.09, p_value=0.4),
            "synthetic+classical": entry.contrasts["synthetic+classical-classical"],
        }
    document.recommended = {
        label: Recommendation(
            real=14,
            synthetic=5 if i == 0 else 0,
            share=5 / 19 if i == 0 else 0.0,
            arm="synthetic+classical",
            chosen_on="val",
            reason="best on val, against classical (F1 10%: +0.021, 25%: +0.034, 50%: +0.011)",
        )
        for i, label in enumerate(document.targets)
    }
    document.learning_curve = LearningCurve(
        contrast="synthetic+classical-classical",
        arm="synthetic+classical",
        control="classical",
        per_target={label: curve(0.04) for label in document.targets},
    )
    return document


def combinations(targets: list[str]) -> list[CombinationDocument]:
    """The first target class by camera, badly on one of them; a part of one group has no interval."""
    scores = {"<b>south</b>": (0.41, 0.55), "north": (0.78, 0.8), "(none)": (0.9, 0.9)}
    return [
        CombinationDocument(
            values={"camera": camera}, images=40, targets=dict.fromkeys(targets[:1], 7), before=before,
            after=after, gain=None if before == after else Contrast(mean=after - before, low=-0.03, high=0.31),
        )
        for camera, (before, after) in scores.items()
    ]  # fmt: skip


def curve(gain: float) -> TargetCurve:
    sizes = [4, 7, 10, 14]
    ceiling, drop, exponent = 0.95, 0.9, 0.5
    fitted = [ceiling - drop * n**-exponent for n in sizes]
    return TargetCurve(
        points=[
            CurvePoint(images=n, mean=f + 0.01, low=f - 0.05, high=f + 0.07) for n, f in zip(sizes, fitted, strict=True)
        ],
        fitted=fitted,
        ceiling=ceiling,
        drop=drop,
        exponent=exponent,
        gain=gain,
        more_images=5.0,
        more_images_low=1.0,
        more_images_high=11.0,
        worth="about 5 more real images (1 to 11)",
    )


def evaluation(
    classes: list[str],
    targets: list[str],
    *,
    seeds: int = 5,
    verdict: Verdict = "helps",
    effect: float = 0.09,
    per_class: int = 60,
    ungated: bool = True,
    share_chosen_on: Literal["val", "default", "user"] = "default",
) -> EvaluateDocument:
    rng = np.random.default_rng(7)
    arms = {name: arm(name, classes, targets, rng, seeds, skill, per_class) for name, skill in SKILL.items()}

    def contrasts(shift: float) -> dict[str, Contrast]:
        sizes = zip(CONTRASTS, (effect + shift, effect / 2 + shift), strict=True)
        return {n: Contrast(mean=m, low=m - 0.07, high=m + 0.07, p_value=0.012) for n, m in sizes}

    details = {
        label: TargetVerdict(
            verdict=verdict,
            contrasts=contrasts(0.01 * i),
            best_control="classical",
            smallest_detectable=0.1,
            real_image_equivalents=None,
            reason="The interval of synthetic − oversample is above zero, and no control did better",
        )
        for i, label in enumerate([*targets, "macro-F1"])
    }
    shown = " and ".join(targets[:2]) + (" and others" if len(targets) > 2 else "")
    sentences = {
        "helps": f"Generated images help: F1 of {shown} rises by 0.09 over plain oversampling.",
        "hurts": f"Generated images hurt: F1 of {shown} falls against both controls.",
        "no measurable effect": f"Generated images make no measurable difference to {shown}; "
        "plain oversampling does as well on these test images.",
    }
    return EvaluateDocument(
        run="runs/00007-dcgan-rare-32px-seed0",
        data="/home/somebody/photos/of parts/2025",
        synthetic="fresh gated samples of runs/00007-dcgan-rare-32px-seed0",
        classifier="cnn",
        seeds=seeds,
        classes=classes,
        targets=targets,
        split={
            "train": {c: 14 if c in targets else 300 for c in classes},
            "val": {c: 0 if c in targets else 40 for c in classes},
            "test": dict.fromkeys(classes, per_class),
        },
        size=EvaluatedSize(asked="native", pixels=64, generator=32, real=243, enlarged=7.6),
        sharpness={t: Sharpness(auc=span(0.97, 0.02), floor=span(0.52, 0.1), told_apart=True) for t in targets},
        share_chosen_on=share_chosen_on,
        changed=changed(classes, targets, seeds, per_class),
        arms=arms,
        verdict=VerdictDocument(
            overall=verdict,
            sentence=sentences[verdict],
            per_target=dict.fromkeys(targets, verdict),
            details=details,
            contrasts=contrasts(0.0),
            best_control="classical",
            smallest_detectable=0.1,
            caveats=[
                "One generator and one training sample: another training of the GAN could give another answer.",
                "The share of synthetic images is the default, since the target classes have no validation images.",
            ],
        ),
        quality=quality(targets, True, rng),
        generator_quality=quality(targets, False, rng) if ungated else None,
        next=NextStep(
            sentence="Export the data set with the recommended numbers of synthetic images, and train on it.",
            command="synthaug export 7 --recommended --out DIR",
        ),
        warnings=["2 images of the data folder could not be read and were left out"],
        seconds=431.0,
        report="",
    )


def digits(
    classes: list[str], *, size: int = 8, channels: int = 1, noise: float = 0.0, count: int = 40
) -> LabelledImages:
    """Handwritten digits under the given names, `size` pixels square."""
    source = load_digits()
    rng = np.random.default_rng(3)
    pixels, labels = [], []
    for i in range(len(classes)):
        found = source.images[source.target == i % 10][i // 10 : count + i // 10]
        found = np.repeat(np.repeat(found, -(-size // 8), 1), -(-size // 8), 2)[:, :size, :size]
        found = np.clip(found * (255 / 16) + rng.normal(0, 1, found.shape) * noise, 0, 255)
        pixels.append(np.repeat(found[:, None], channels, 1).astype(np.uint8))
        labels += [i] * len(found)
    return LabelledImages(
        pixels=np.concatenate(pixels),
        labels=np.array(labels, dtype=np.int64),
        classes=list(classes),
        paths=[f"{classes[label]}/{n}.png" for n, label in enumerate(labels)],
    )


def training(targets: list[str], steps: int = 900) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    rows: list[dict[str, Any]] = []
    for i in range(1, steps + 1):
        kimg = i * 0.2
        rows.append(
            {
                "kind": "step",
                "kimg": kimg,
                "loss_d": 0.8 + 1.2 * np.exp(-kimg / 20) + 0.15 * rng.normal(),
                "loss_g": 0.4 + 0.3 * np.sin(kimg / 30) + 0.2 * rng.normal(),
                "images_per_second": 700.0,
                "real_score": 0.5 + 0.1 * rng.normal(),
                "fake_score": -0.5 + 0.1 * rng.normal(),
            }
        )
        if i % 90 == 0:
            per_class = {
                t: {
                    "kid": 0.05 + (0.3 + 0.05 * n) * np.exp(-kimg / 40) + 0.01 * rng.random(),
                    "coverage": 0.7 - 0.5 * np.exp(-kimg / 30),
                    "reference": "train" if n % 2 else "val",
                    "copies": 0.01 * n,
                }
                for n, t in enumerate(targets)
            }
            pooled = {"kid": 0.03 + 0.3 * np.exp(-kimg / 40), "reference": "val"}
            row = {
                "kimg": kimg,
                "per_class": per_class,
                "pooled": pooled,
                "score": pooled["kid"] * 1.3,
                "best": i <= 720,
            }
            rows.append({"kind": "monitor", **row})
    return rows


def material(classes: list[str], targets: list[str], *, size: int = 8, channels: int = 1) -> ReportMaterial:
    real = digits(classes, size=size, channels=channels)
    synthetic = digits(classes, size=size, channels=channels, noise=18.0)
    rows = [i for label in targets or classes[:2] for i in np.flatnonzero(real.labels == classes.index(label))[:4]]
    pairs = [
        (synthetic.pixels[i], real.pixels[i + (n > 0)], classes[int(real.labels[i])], 0.05 * n)
        for n, i in enumerate(rows)
    ]
    return ReportMaterial(
        real=real,
        synthetic=synthetic,
        generator=digits(classes, size=size, channels=channels, noise=30.0),
        pairs=pairs,
        tested=dict(zip(real.paths, real.pixels, strict=True)),
        training=training(targets),
        settings={"data.resolution": size, "training.budget": "200kimg", "training.augment": ["color"], "seed": 0},
        environment={"python": "3.11.2", "torch": "2.14.0", "cpu": "2 cores", "packages": {"numpy": "2.4.6"}},
    )


def from_images(document: EvaluateDocument, given: ReportMaterial) -> EvaluateDocument:
    """The same evaluation of images that were made from others: image i of the pool from training image 7 · i."""
    assert given.real is not None
    assert given.synthetic is not None
    images = given.real
    rows = [
        SplitRow(path, "", images.classes[label], path, "train")
        for path, label in zip(images.paths, images.labels, strict=True)
    ]
    sources = RunSources(Sources(images.pixels, {}), rows, Path("data"), draws=50, mode="both")
    given.origins = Origins(sources, 7 * np.arange(len(given.synthetic)) % len(images))
    return document.model_copy(update={"made_from": given.origins.counts(given.synthetic)})
