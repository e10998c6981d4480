"""Real and synthetic images for a PyTorch training loop.

```python
from torch.utils.data import DataLoader
from synthaug.torch import MixedImageFolder

train = MixedImageFolder("balanced", share={"rare": 0.25}, transform=transform)
loader = DataLoader(train, batch_size=64, sampler=train.sampler())
```
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, WeightedRandomSampler

from synthaug.data.decode import open_image
from synthaug.data.run_data import RunData
from synthaug.documents import EvaluateDocument
from synthaug.errors import RunFailed, SynthaugError, suggest
from synthaug.evaluation.images import PER_SEED
from synthaug.exporters.manifest import METADATA, is_export, read_manifest, read_rows
from synthaug.pipelines.describe import evaluate_it, kept_evaluation
from synthaug.progress import Progress, shown
from synthaug.results.images import Images
from synthaug.runs import Run, RunLike, find
from synthaug.sampling.gate import gate_of_run
from synthaug.sampling.gated_samples import gated_samples
from synthaug.sampling.generate import load

__all__ = ["MixedImageFolder"]

Share = float | Mapping[str, float] | EvaluateDocument
"""The share of synthetic images in the draws of a class."""


class MixedImageFolder(Dataset[tuple[Any, int]]):
    """Real and synthetic images of an export, or of a run, as pairs of an image and the number of its class.

    It can stand where torchvision's `ImageFolder` stands: images are PIL images in RGB, and `classes`, `class_to_idx`,
    `samples` and `targets` have the same meaning. `synthetic` (bool [N]) tells the images apart. From an export, images
    have the size of their files; from a run, all have the generator's size, and those of the class come from its
    train split.

    `sampler()` draws as `evaluate` did: `share` of the draws of a class are synthetic images, and classes are drawn
    as `weight` says. With `shuffle=True` instead, every image is drawn equally often.

    >>> train = MixedImageFolder("balanced", share={"rare": 0.25})
    >>> train.classes, len(train)
    (['common', 'rare'], 40)
    >>> image, target = train[0]
    >>> image.size, image.mode, target
    ((16, 16), 'RGB', 0)
    >>> rare = train.targets == train.class_to_idx["rare"]
    >>> round(float(train.weights[rare & train.synthetic].sum() / train.weights[rare].sum()), 2)
    0.25

    Args:
        source: an export in the format `folder`; or a run (path, name, number, or a result of `fit`, `evaluate`
            or `run`), whose generator then makes the synthetic images here, in memory.
        share: from 0 to 1. A number is for all classes that have synthetic images (of a run: its target classes); a
            mapping is for the named classes, and the others get none; the result of `evaluate` stands for what it
            recommends. None: of an export every image of a class counts the same; of a run, what its evaluation
            recommends.
        weight: how often classes are drawn: all equally, or by their real images, or relative numbers of some classes
            (the others have 1).
        transform: image → what the model takes; torchvision's transforms, for example.
        target_transform: the same for the number of the class.
        per_class: of a run: synthetic images of each class. By default as many as the largest class has real ones, at
            least 100 and at most 500.
        gate: of a run: leave out what an export would reject.
        runs: the folder of runs.
        device: where a run's images are generated.
        cache: the folder of decoded images.
        progress: show the progress.

    Raises:
        SynthaugError: there is no such export, run or class; a share is out of range, or asks for synthetic images
            where there are none; the run has no evaluation, and no share was given.
        RunFailed: no generated image passes the gates.
    """

    def __init__(
        self, source: RunLike, *, share: Share | None = None,
        weight: Literal["balanced", "natural"] | Mapping[str, float] = "balanced",
        transform: Callable[[Any], Any] | None = None, target_transform: Callable[[int], Any] | None = None,
        per_class: int | None = None, gate: bool = True, runs: str | Path | None = None, device: str = "auto",
        cache: str | Path | None = None, progress: Progress | bool = True,
    ) -> None:  # fmt: skip
        self.transform, self.target_transform = transform, target_transform
        if isinstance(source, (str, Path)) and is_export(Path(source)):
            found = _of_export(Path(source))
            shares = None if share is None else _shares(share, found.with_synthetic(), found.classes)
        else:
            run, cache = _run(source, None if runs is None else Path(runs)), None if cache is None else Path(cache)
            shares = _shares(_advised(run) if share is None else share, run.facts().targets, run.facts().classes)
            found = _of_run(run, shares, per_class, gate, device, cache, shown(progress))
        weights = found.weights(shares, weight)
        kept = np.flatnonzero(weights > 0)
        self.classes = found.classes
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}
        self.targets: NDArray[np.int64] = found.targets[kept]
        self.synthetic: NDArray[np.bool_] = found.synthetic[kept]
        self.weights = torch.from_numpy(weights[kept])
        self.samples = [(found.paths[row], int(found.targets[row])) for row in kept]
        self._pixels = None if found.pixels is None else Images(found.pixels[kept])

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        image: Any = (open_image(Path(path)) if self._pixels is None else self._pixels[index]).convert("RGB")
        if self.transform is not None:
            image = self.transform(image)
        return image, target if self.target_transform is None else self.target_transform(target)

    def sampler(self, draws: int | None = None, *, seed: int | None = None) -> WeightedRandomSampler:
        """Draw images by `weights`, with replacement, for `DataLoader(…, sampler=…)`.

        Args:
            draws: in an epoch; by default as many as there are images.
            seed: for the same draws in every process; by default PyTorch's own.
        """
        rng = None if seed is None else torch.Generator().manual_seed(seed)
        return WeightedRandomSampler(self.weights.tolist(), draws or len(self), replacement=True, generator=rng)

    def __repr__(self) -> str:
        synthetic = int(self.synthetic.sum())
        return f"MixedImageFolder: {len(self) - synthetic:,} real and {synthetic:,} synthetic images of {self.classes}"


@dataclass(frozen=True)
class _Found:
    """All images of a source: `paths` (names for those in memory), `targets` [N], `synthetic` [N], `pixels`."""

    classes: list[str]
    paths: list[str]
    targets: NDArray[np.int64]
    synthetic: NDArray[np.bool_]
    pixels: NDArray[np.uint8] | None = None

    def with_synthetic(self) -> list[str]:
        """The classes that have synthetic images."""
        return [self.classes[k] for k in np.unique(self.targets[self.synthetic])]

    def weights(
        self, shares: Mapping[str, float] | None, weight: Literal["balanced", "natural"] | Mapping[str, float]
    ) -> NDArray[np.float64]:
        """How often each image is drawn, float64 [N]."""
        result = np.zeros(len(self.targets))
        for number, name in enumerate(self.classes):
            own = self.targets == number
            real, synthetic = np.flatnonzero(own & ~self.synthetic), np.flatnonzero(own & self.synthetic)
            if shares is None:
                share = len(synthetic) / max(len(real) + len(synthetic), 1)
            else:
                share = shares.get(name, 0.0) if len(real) else 1.0
            if share > 0 and not len(synthetic) and len(real):
                raise SynthaugError(
                    f"a share of {share:g} was asked for {name!r}, which has no synthetic images",
                    f"leave {name!r} out of the share, or export more images of it",
                )
            often = _often(name, weight, len(real))
            result[real] = often * (1 - share) / max(len(real), 1)
            result[synthetic] = often * share / max(len(synthetic), 1)
        return result


def _often(name: str, weight: Literal["balanced", "natural"] | Mapping[str, float], real: int) -> float:
    if isinstance(weight, Mapping):
        often = weight.get(name, 1.0)
        if not often >= 0:
            raise SynthaugError(f"the weight of {name!r} is {often}", "give numbers of 0 or more")
        return float(often)
    if weight not in ("balanced", "natural"):
        raise SynthaugError(f"the weight {weight!r} is not known", suggest(str(weight), ["balanced", "natural"]))
    return 1.0 if weight == "balanced" else float(real)


def _shares(share: Share, targets: Sequence[str], classes: Sequence[str]) -> dict[str, float]:
    """Class → share, for the classes that get synthetic images."""
    if isinstance(share, EvaluateDocument):
        shares = {name: advice.share for name, advice in share.recommended.items()}
    else:
        shares = dict(share) if isinstance(share, Mapping) else dict.fromkeys(targets, share)
    for name, value in shares.items():
        if name not in classes:
            raise SynthaugError(f"there is no class {name!r}", suggest(name, classes))
        if not 0 <= value <= 1:
            raise SynthaugError(f"the share of {name!r} is {value}", "give a number from 0 to 1, such as 0.25")
    return shares


def _run(source: RunLike, runs: Path | None) -> Run:
    if isinstance(source, Run):
        return source
    reference = source if isinstance(source, (str, Path)) else source.run
    if reference is None:
        raise SynthaugError("this evaluation has no run: its images were given as a folder", "give a run or an export")
    try:
        return find(reference, runs)
    except SynthaugError as error:
        raise SynthaugError(f"{str(reference)!r} is no export, and {error.message}", error.hint) from None


def _advised(run: Run) -> EvaluateDocument:
    """The evaluation of a run."""
    document = kept_evaluation(run)
    if document is None:
        raise SynthaugError(
            f"the run {run.name!r} has no evaluation that recommends a share", f"give share=0.25, or {evaluate_it(run)}"
        )
    return document


def _of_export(folder: Path) -> _Found:
    manifest = read_manifest(folder / "manifest.json")
    if manifest.format != "folder":
        raise SynthaugError(
            f"{str(folder)!r} has the format {manifest.format!r}, and not a file for each image",
            "export with --format folder",
        )
    rows = [row for _, row in read_rows(folder / "train" / METADATA)]
    for row in rows:
        if ".." in PurePosixPath(row["file_name"]).parts or PurePosixPath(row["file_name"]).is_absolute():
            raise SynthaugError(f"{str(folder)!r} is damaged: the file {row['file_name']!r} is outside", "export again")
    return _Found(
        manifest.classes,
        [str(folder / "train" / row["file_name"]) for row in rows],
        np.array([row["class_index"] for row in rows], np.int64),
        np.array([row["synthetic"] for row in rows], np.bool_),
    )


def _of_run(
    run: Run, shares: Mapping[str, float], per_class: int | None, gate: bool, device: str, cache: Path | None,
    progress: Progress,
) -> _Found:  # fmt: skip
    data = RunData.open(run)
    train = data.images("train", cache, progress)
    wanted = [name for name, share in shares.items() if share > 0]
    pixels, targets = [np.asarray(train.pixels)], [train.labels]
    if wanted:
        sampler, checked = load(run, device=device, cache=cache), None
        if gate:
            checked = gate_of_run(data, train, device=device, cache=cache, progress=progress)
        count = per_class or int(np.clip(max(train.counts().values()), *PER_SEED))
        for name in wanted:
            made = gated_samples(sampler, checked, name, count, allow_short=True, progress=progress).pixels
            if not len(made):
                raise RunFailed(
                    f"no generated image of class {name!r} passes the gates", "train longer, or give gate=False"
                )
            if len(made) < count:
                progress.warn(f"only {len(made)} of {count} images of {name!r} passed the gates")
            pixels.append(made)
            targets.append(np.full(len(made), train.index(name)))
    real = len(train)
    synthetic = np.concatenate([np.zeros(real, np.bool_), np.ones(sum(map(len, pixels)) - real, np.bool_)])
    numbers = [f"{name}/{k:06d}" for name, made in zip(wanted, pixels[1:], strict=True) for k in range(len(made))]
    return _Found(train.classes, [*train.paths, *numbers], np.concatenate(targets), synthetic, np.concatenate(pixels))
