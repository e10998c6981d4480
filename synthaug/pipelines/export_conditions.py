"""`export --balance`: which combinations of conditions are filled up, and how many there are in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from synthaug.data.plan import ClassPlan
from synthaug.documents import ConditionPlan, ExportedCombination
from synthaug.sampling.attributes import RunAttributes, balanced, in_text
from synthaug.sampling.generate import SeededGenerator


def balanced_sampler(sampler: SeededGenerator, names: Sequence[str], plans: Mapping[str, ClassPlan]) -> SeededGenerator:
    """The generator, with images that fill up the rarest combinations of some columns in each class.

    Raises:
        SynthaugError: the run has no such condition, or it has too many values.
    """
    told = sampler.trained.attributes
    real, generate = ({label: getattr(p, part) for label, p in plans.items()} for part in ("keep", "generate"))
    found = balanced(None if told is None else told.conditions, names, real, generate, sampler.trained.run.name)
    if told is None or not found:
        return sampler
    planned = RunAttributes.of(told.conditions, ConditionPlan(combinations=found))
    return replace(sampler, trained=replace(sampler.trained, attributes=planned))


def exported_combinations(sampler: SeededGenerator, label: str, made: Mapping[str, int]) -> list[ExportedCombination]:
    """The combinations of a class with the number of images that were made of each."""
    told = sampler.trained.attributes
    planned = [] if told is None else told.plan.combinations.get(label, [])
    return [ExportedCombination(**one.model_dump(), synthetic=made.get(in_text(one.values), 0)) for one in planned]
