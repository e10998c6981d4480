"""The document of `synthaug check`: the scores of each class, its verdicts, and the nearest pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue

from synthaug.documents.base import Document

Collapse = Literal["healthy", "thinning", "collapsed", "insufficient data"]
Memorisation = Literal["clear", "suspect", "copying", "insufficient held-out data"]


class Range(Document):
    """An estimate with its 95% interval."""

    mean: float
    low: float
    high: float


class Score(Document):
    """A number with its 95% interval, and the score of real images against real ones at the same number of images.

    All are None if nothing could be measured. `text` is the number in words, if it needs them ("3 of 12").
    """

    value: float | None = None
    interval: Range | None = None
    floor: Range | None = None
    text: str | None = None

    @classmethod
    def of(cls, interval: Range | None, floor: Range | None = None) -> Score:
        """The score whose value is the interval's mean."""
        return cls(value=interval.mean if interval else None, interval=interval, floor=floor)

    @property
    def measured(self) -> bool:
        return self.value is not None and math.isfinite(self.value)

    @property
    def span(self) -> Range | None:
        """The value with its interval; without an interval, a range of no width."""
        if self.value is None or not math.isfinite(self.value):
            return None
        low, high = (self.interval.low, self.interval.high) if self.interval else (self.value, self.value)
        return Range(mean=self.value, low=low, high=high)


@dataclass(frozen=True, slots=True)
class Keys:
    """The JSON keys of a score's parts; None: that part is not written.

    `floor_value` is a floor's mean as a bare number.
    """

    value: str | None = None
    interval: str | None = None
    floor: str | None = None
    floor_value: str | None = None
    text: str | None = None

    @classmethod
    def of(cls, name: str) -> Keys:
        """`name`, `name_range` and `name_floor`, except for the metrics in `_KEYS`, whose keys are older."""
        return _KEYS.get(name) or Keys(value=name, interval=f"{name}_range", floor=f"{name}_floor")

    def write(self, score: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """The keys of a dumped score, with their values."""
        for part in ("value", "text", "interval", "floor"):
            if (key := getattr(self, part)) is not None:
                yield key, score[part]
        if self.floor_value is not None:
            yield self.floor_value, score["floor"]["mean"] if score["floor"] else None

    def read(self, data: dict[str, Any]) -> dict[str, Any]:
        """The parts of a score; their keys are removed from `data`. Empty if there was none."""
        parts = ("value", "text", "interval", "floor", "floor_value")
        keys = {part: key for part in parts if (key := getattr(self, part)) is not None}
        found = {part: data.pop(key) for part, key in keys.items() if key in data}
        bare = found.pop("floor_value", None)
        if bare is not None and found.get("floor") is None:
            found["floor"] = {"mean": bare, "low": bare, "high": bare}
        if self.value is None and found.get("interval") is not None:
            interval = found["interval"]
            found["value"] = interval.mean if isinstance(interval, Range) else interval["mean"]
        if found.get("text") is not None:
            found["value"] = float(found["text"].split()[0])
        return found


_KEYS = {
    "kid": Keys(interval="kid", floor="kid_floor"),
    "dcr": Keys(interval="dcr"),
    "c_t": Keys(value="c_t", floor="c_t_floor"),
    "missed_clusters": Keys(text="missed_clusters", floor="missed_clusters_floor"),
    "duplicate_rate": Keys(
        "duplicate_rate", "duplicate_range", floor="duplicate_floor_range", floor_value="duplicate_floor"
    ),
    "vendi_ratio": Keys("vendi_ratio", "vendi_range", "vendi_floor"),
    "pairwise_ratio": Keys("pairwise_ratio", "pairwise_range", "pairwise_floor"),
    "ms_ssim_ratio": Keys("ms_ssim_ratio", "ms_ssim_range", "ms_ssim_floor"),
}


class QualityScores(Document):
    """The scores of synthetic images, with floors: the scores of real images against real ones.

    `scores` has an entry for each metric in `synthaug.metrics.METRICS`. In JSON it is flat: the keys of each score
    (`Keys`) are on the same level as the counts.
    """

    n_real: int
    n_synthetic: int
    n_compared: int = Field(0, description="images on each side of KID, FID, precision, recall, density and coverage")
    n_diversity: int = Field(0, description="images on each side of the Vendi and duplicate scores")
    scores: dict[str, Score] = Field(default_factory=dict, description="metric → score")

    def score(self, name: str) -> Score:
        """The score of a metric; an empty one if it was not measured."""
        return self.scores.get(name) or Score()

    @model_serializer(mode="wrap")
    def _flatten(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = handler(self)
        if (scores := dumped.pop("scores", None)) is None:
            return dumped
        rest = {key: dumped.pop(key) for key in list(dumped) if not key.startswith("n_")}
        return dumped | {k: v for name, score in scores.items() for k, v in Keys.of(name).write(score)} | rest

    @model_validator(mode="before")
    @classmethod
    def _unflatten(cls, data: Any) -> Any:
        """Keys that are not fields belong to scores, so that documents with a plug-in's metrics open without it."""
        if not isinstance(data, Mapping):
            return data
        rest = {key: value for key, value in data.items() if key in cls.model_fields}
        flat = {key: value for key, value in data.items() if key not in cls.model_fields}
        scores = {}
        for name in [*_KEYS, *flat]:
            whole = name in _KEYS or f"{name}_range" in data
            metric = name if whole else name.removesuffix("_range").removesuffix("_floor")
            if found := Keys.of(metric).read(flat):
                scores[metric] = found
        return rest | {"scores": scores | dict(rest.get("scores", {}))} if scores else rest

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema of the flat form. It has the types of the scores but not their keys, which come from the table."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        score = schema.get("properties", {}).pop("scores", None)
        if score is not None:
            interval = {"type": "object", "required": ["mean", "low", "high"]}
            schema["additionalProperties"] = {
                "description": "a score, its interval or its floor: see docs/json.md",
                "anyOf": [{"type": "number"}, {"type": "string"}, interval, {"type": "null"}],
            }
        return schema


class BiasRow(Document):
    """One difference of the synthetic images of a class, in standard deviations of the real images."""

    name: str = Field(description='"brightness", "contrast", "saturation", "red", "object size", "cluster 3 of 12", …')
    real: float = Field(description="mean of the real images; of a cluster, its share")
    synthetic: float = Field(description="mean of the synthetic images; of a cluster, its share")
    difference: Range = Field(
        description="(synthetic − real) ÷ standard deviation of the real images, with 95% interval"
    )
    floor: Range | None = Field(None, description="the same difference for other real images")
    beyond: bool = Field(False, description="larger than chance and the floor (5% for all rows of the class)")
    example: str | None = Field(None, description="of a cluster: the training image nearest to its centre")


class ClassQuality(QualityScores):
    """The scores of the synthetic images of one class, and the verdicts on it."""

    bias: list[BiasRow] = Field(default_factory=list, description="differences from real images, the largest first")
    collapse: Collapse = "insufficient data"
    memorisation: Memorisation = "insufficient held-out data"
    reasons: list[str] = Field(default_factory=list)


class CopyPair(Document):
    """A synthetic image and the training image nearest to it in feature space."""

    label: str
    synthetic: str
    train: str
    distance: float
    mirrored: bool = Field(False, description="the training image was flipped left to right for the comparison")


class Opinion(Document):
    """What one feature net says of some images. `as_good_as_real` is None without a floor."""

    kid: Range
    kid_floor: Range | None = None
    as_good_as_real: bool | None = Field(None, description="the intervals of kid and kid_floor overlap")

    def text(self) -> str:
        """KID, and that of real images."""
        floor = f", real images {self.kid_floor.mean:.3f}" if self.kid_floor else ""
        return f"KID {self.kid.mean:.3f}{floor}"


class Opinions(Document):
    """What both nets say of the same images. None if these are too few."""

    n: int = Field(description="images on each side")
    first: Opinion | None = None
    second: Opinion | None = None

    @property
    def agree(self) -> bool | None:
        """Whether both call the images as good as real, or neither does; None if one of them cannot say."""
        first, second = (side and side.as_good_as_real for side in (self.first, self.second))
        return None if first is None or second is None else first == second


class SecondJudge(Document):
    """The opinion of a second feature net, of another origin, beside the first one's on the same images."""

    features: str = Field(description="name and hash of the second feature net")
    per_class: dict[str, Opinions]
    pooled: Opinions | None = Field(None, description="all judged classes together")
    disagreements: list[str] = Field(default_factory=list, description="where one net calls images as good as real")

    def text(self) -> str:
        """Whether the nets agree, in one sentence without a full stop."""
        name = self.features.partition("@")[0]
        whole = [*self.per_class.values(), *([self.pooled] if self.pooled else [])]
        known = [opinions.agree for opinions in whole if opinions.agree is not None]
        if not known:
            return f"{name}, a second judge, has too few images to say whether it agrees"
        if all(known):
            good = (self.pooled or whole[0]).first
            same = "as good as real ones" if good and good.as_good_as_real else "worse than real ones"
            what = "all images together are" if self.pooled else "the images are"
            return f"{name}, a second judge, agrees: {what} {same}"
        return f"{name}, a second judge, disagrees: {'; '.join(self.disagreements)}"


class ConditionEffect(Document):
    """Whether a condition beside the class acts: balanced accuracy of a classifier that learned it on real images."""

    name: str
    values: list[str] = Field(default_factory=list, description="those that are told apart, of numbers ranges")
    real: float | None = Field(None, description="accuracy on other real images")
    samples: Range | None = Field(None, description="accuracy on generated images, against what they were told")
    floor: float | None = Field(None, description="accuracy of a guess from the class alone")
    share: float | None = Field(None, description="(samples − floor) ÷ (real − floor)")
    acts: Literal["yes", "weakly", "no", "unknown"]
    reason: str = ""


class CheckDocument(Document):
    """The result of `synthaug check`; also `quality` in the document of `evaluate`."""

    per_class: dict[str, ClassQuality]
    pooled: QualityScores | None = Field(
        None, description="all judged classes together, each with as many real as synthetic images"
    )
    features: str = Field(description="name and hash of the feature net")
    second_judge: SecondJudge | None = Field(None, description="whether another feature net agrees")
    reference: Literal["test", "val", "train", "folder"]
    gated: bool
    worst_pairs: list[CopyPair] = Field(default_factory=list)
    conditions: list[ConditionEffect] = Field(default_factory=list, description="of a run with conditions")
