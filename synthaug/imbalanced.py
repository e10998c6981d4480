"""`synthaug.Sampler`: oversampling with generated images, in the interface of imbalanced-learn, on arrays."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d

from synthaug.data.class_names import check_class_names
from synthaug.data.run_data import RunData
from synthaug.errors import SynthaugError
from synthaug.exporters.looks import apply_look, plain_look
from synthaug.pipelines.fit import run_fit
from synthaug.progress import Progress, shown
from synthaug.requests import FitRequest
from synthaug.runs import Run
from synthaug.sampling.gate import gate_of_run
from synthaug.sampling.gated_samples import gated_samples
from synthaug.sampling.generate import load

try:
    from imblearn.over_sampling.base import BaseOverSampler
    from imblearn.utils import check_target_type
except ImportError:
    BaseOverSampler = None

_FRACTIONS = (0.0, 1.0)
_LEVELS = (0, 255)


class NotImages(SynthaugError, ValueError):
    """Arrays that a `Sampler` cannot use; also a `ValueError`, as scikit-learn raises."""


class Sampler(BaseOverSampler or object):  # type: ignore[misc]
    """Fill up small classes with generated images: trains a generator on `X` and draws from it.

    It has the interface of an imbalanced-learn over-sampler, so it can stand in an `imblearn.pipeline.Pipeline`. The
    images of `X` come first in the result, unchanged; generated ones that pass the gates follow, of the same size,
    channels and type. Whether they help is not tested here: see `synthaug.evaluate`.

    `X` is [N, H, W], [N, H, W, C] or [N, C, H, W] with 1 or 3 channels; or rows [N, H·W·C] with `image_shape`, also as
    a DataFrame. Values are whole numbers from 0 to 255, or fractions from 0 to 1.

    Args:
        sampling_strategy: which classes are filled up, and to how many images: see imbalanced-learn.
        budget: how long to train: `10min`, `90s`, `200kimg`. In kimg, the same call gives the same images.
        recipe: settings to train with: `synthaug recipes ls`, or `auto`, chosen from the images.
        resolution: side of the images that the generator makes, in pixels; None: the recipe's.
        settings: further keys of a recipe, such as {"training.batch_size": 32}.
        image_shape: (H, W) or (H, W, C) of an image, for rows.
        gate: leave out images of another class, copies and duplicates.
        random_state: of the training and of the noise.
        device: `auto`, `cpu`, `cuda` or `mps`.
        out: a folder that keeps the images, in `data`, and the run, in `runs`; None: nothing is kept.
        progress: show the progress, in a notebook or on a terminal.

    Attributes:
        sampling_strategy_: class → how many images are generated.

    Raises:
        NotImages: `X` holds no images, or images of unequal sizes; or `y` has one class only.
        SynthaugError: a setting is wrong, imbalanced-learn is missing, or a class has fewer than two images.
        RunFailed: too few generated images pass the gates.

    >>> X = np.random.default_rng(0).random((40, 8, 8))
    >>> y = np.array(["common"] * 30 + ["rare"] * 10)
    >>> X_all, y_all = Sampler(budget="2min").fit_resample(X, y)  # doctest: +SKIP
    >>> X_all.shape, (y_all == "rare").sum()  # doctest: +SKIP
    ((60, 8, 8), 30)
    """

    if BaseOverSampler is not None:
        _parameter_constraints = {
            **BaseOverSampler._parameter_constraints,
            "budget": [str], "recipe": [str], "resolution": [Integral, None], "settings": [Mapping, None],
            "image_shape": [tuple, list, None], "gate": ["boolean"], "device": [str], "out": [str, Path, None],
            "progress": ["boolean"],
        }  # fmt: skip

    def __init__(
        self, *, sampling_strategy: Any = "auto", budget: str = "10min", recipe: str = "auto",
        resolution: int | None = None, settings: Mapping[str, Any] | None = None,
        image_shape: tuple[int, ...] | None = None, gate: bool = True, random_state: Any = None, device: str = "auto",
        out: str | Path | None = None, progress: bool = True,
    ) -> None:  # fmt: skip
        if BaseOverSampler is None:
            raise SynthaugError("synthaug.Sampler needs imbalanced-learn", "pip install imbalanced-learn")
        super().__init__(sampling_strategy=sampling_strategy)
        self.budget = budget
        self.recipe = recipe
        self.resolution = resolution
        self.settings = settings
        self.image_shape = image_shape
        self.gate = gate
        self.random_state = random_state
        self.device = device
        self.out = out
        self.progress = progress

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        rows = self.image_shape is not None
        tags.input_tags.two_d_array = tags.input_tags.dataframe = rows
        tags.input_tags.three_d_array = not rows
        tags.input_tags.sparse = False
        return tags

    def _check_X_y(self, X: Any, y: Any, accept_sparse: Any = None) -> tuple[Any, Any, bool]:
        y, from_columns = check_target_type(y, indicate_one_vs_all=True)
        y = column_or_1d(y)
        if len(np.unique(y)) < 2:
            raise NotImages(f"y has one class only: {y.tolist()[0]!r}", "give images of at least two classes")
        X = _array(X)
        check_consistent_length(X, y)
        _Form.of(X, self.image_shape)
        return X, y, from_columns

    def _fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        wanted = {value: count for value, count in self.sampling_strategy_.items() if count}
        if not wanted:
            return X, y
        form = _Form.of(X, self.image_shape)
        with ExitStack() as held:
            made = self._generated(form.images(X), y, wanted, held, shown(self.progress))
        more = [form.like(pixels) for pixels in made.values()]
        return np.concatenate([X, *more]), np.concatenate([y, *(np.full(len(p), v, y.dtype) for v, p in made.items())])

    def _generated(
        self, images: NDArray[np.uint8], y: Any, wanted: Mapping[Any, int], held: ExitStack, progress: Progress
    ) -> dict[Any, NDArray[np.uint8]]:
        """Value of `y` → generated images, uint8 [n, C, R, R]."""
        if self.out is None:
            root = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="synthaug-")))
        else:
            root = Path(self.out)
            if root.exists():
                raise SynthaugError(f"{str(root)!r} exists already", "give another folder as `out`")
        names = _names(np.unique(y))
        _write(images, [names[value] for value in y.tolist()], root / "data" / "train")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        settings = {"data.test_fraction": 0.0, "data.fit": "stretch", **(self.settings or {})}
        trained = run_fit(
            FitRequest(
                data=root / "data", target_class=tuple(names[value] for value in wanted), budget=self.budget,
                recipe=self.recipe, set=settings, resolution=self.resolution, seed=seed, device=self.device,
                runs=root / "runs", cache=root / "cache",
            ),
            progress,
        )  # fmt: skip
        run, cache = Run(Path(trained.run)), root / "cache"
        data, sampler, gate = RunData.open(run), load(run, device=self.device, cache=cache), None
        if self.gate:
            train = data.images("train", cache, progress)
            gate = gate_of_run(data, train, device=self.device, cache=cache, progress=progress)
        return {
            value: gated_samples(sampler, gate, names[value], count, progress=progress).pixels
            for value, count in wanted.items()
        }


@dataclass(frozen=True)
class _Form:
    """How an array holds images: its type, the shape of a row, the shape of an image, and the axis of its channels."""

    dtype: np.dtype[Any]
    row: tuple[int, ...]
    shape: tuple[int, ...]
    axis: int | None

    @classmethod
    def of(cls, X: NDArray[Any], image_shape: tuple[int, ...] | None) -> _Form:
        """The form of an array.

        Raises:
            NotImages: these are no images.
        """
        row = X.shape[1:]
        shape = row if image_shape is None else tuple(image_shape)
        if np.prod(shape) != np.prod(row) or (image_shape is not None and X.ndim != 2):
            raise NotImages(
                f"X has the shape {X.shape}, and image_shape is {shape}",
                f"give rows, [N, {np.prod(shape)}], or leave out image_shape",
            )
        if len(shape) == 1:
            side = round(shape[0] ** 0.5)
            proposal = f"({side}, {side})" if side**2 == shape[0] else "(H, W)"
            raise NotImages(
                f"X has the shape {X.shape}: rows are no images",
                f"give an array [N, H, W] or [N, H, W, C], or the shape of an image: image_shape={proposal}",
            )
        axis = next((k for k in (2, 0) if len(shape) == 3 and shape[k] in (1, 3)), None)
        if len(shape) not in (2, 3) or (len(shape) == 3 and axis is None) or 0 in shape:
            raise NotImages(
                f"X has images of the shape {shape}",
                "give [N, H, W] for grey images, [N, H, W, C] or [N, C, H, W] for those with 1 or 3 channels",
            )
        _check_values(X)
        return cls(X.dtype, row, shape, axis)

    @property
    def channels(self) -> int:
        return 1 if self.axis is None else self.shape[self.axis]

    @property
    def size(self) -> tuple[int, ...]:
        """Height and width."""
        return tuple(side for k, side in enumerate(self.shape) if k != self.axis)

    def images(self, X: NDArray[Any]) -> NDArray[np.uint8]:
        """The images as uint8 [N, H, W] or [N, H, W, 3]."""
        levels = np.rint(X * 255) if self.dtype.kind == "f" else X
        whole = np.asarray(levels, np.uint8).reshape(len(X), *self.shape)
        if self.channels == 1:
            return whole.reshape(len(X), *self.size)
        return whole.transpose(0, 2, 3, 1) if self.axis == 0 else whole

    def like(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """Generated images, uint8 [n, C, R, R], as rows of the array."""
        height, width = self.size
        look = plain_look(width, self.channels).model_copy(update={"height": height})
        made = np.stack([np.asarray(apply_look(image, look, "stretch")) for image in pixels])
        if self.channels > 1 and self.axis == 0:
            made = made.transpose(0, 3, 1, 2)
        levels = made.reshape(len(pixels), *self.row)
        return (levels / 255).astype(self.dtype) if self.dtype.kind == "f" else levels.astype(self.dtype)


def _array(X: Any) -> NDArray[Any]:
    """`X` as one array of numbers.

    Raises:
        NotImages: the images have unequal sizes, or these are no numbers.
    """
    try:
        found = np.asarray(X)
        found = np.stack([np.asarray(image) for image in found]) if found.dtype == object else found
    except ValueError as error:
        sizes = sorted({np.shape(image) for image in X})
        shown_sizes = ", ".join(" × ".join(map(str, size)) for size in sizes[:3])
        raise NotImages(
            f"the images have {len(sizes)} sizes: {shown_sizes}{', …' if len(sizes) > 3 else ''}",
            "resize them to one size first",
        ) from error
    if found.ndim == 0 or found.dtype.kind not in "uif":
        raise NotImages(f"X has the type {found.dtype}", "give an array of numbers from 0 to 255, or from 0 to 1")
    return found


def _check_values(X: NDArray[Any]) -> None:
    low, high = (float(X.min()), float(X.max())) if X.size else (0.0, 0.0)
    least, most = _FRACTIONS if X.dtype.kind == "f" else _LEVELS
    if not (low >= least and high <= most):  # also where they are not numbers
        raise NotImages(
            f"X has values from {low:g} to {high:g} as {X.dtype}",
            "give whole numbers from 0 to 255, or fractions from 0 to 1, such as X / X.max()",
        )


def _names(values: NDArray[Any]) -> dict[Any, str]:
    """Value of `y` → the name of its folder: the value itself where that can be a folder."""
    names = [str(value) for value in values.tolist()]
    try:
        check_class_names(names)
    except SynthaugError:
        names = [f"class {number}" for number in range(len(values))]
    return dict(zip(values.tolist(), names, strict=True))


def _write(images: NDArray[np.uint8], labels: list[str], folder: Path) -> None:
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / label / f"{number:07d}.png")
