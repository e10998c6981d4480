"""`--balance`: which combinations of conditions are filled up, and how many there are in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from synthaug.documents import ConditionPlan, ExportedCombination
from synthaug.sampling.attributes import RunAttributes, balanced, in_text
from synthaug.sampling.generate import SeededGenerator


def balanced_sampler(
    sampler: SeededGenerator, names: Sequence[str], real: Mapping[str, int], generate: Mapping[str, int]
) -> SeededGenerator:
    """The generator, with images that fill up the rarest combinations of some columns in each class.

    Args:
        sampler: of a run.
        names: the columns; none: the generator as it is.
        real: class → real images that stay.
        generate: class → images to make.

    Raises:
        SynthaugError: the run has no such condition, or it has too many values.
    """
    if not names:
        return sampler
    told = sampler.trained.attributes
    conditions = None if told is None else told.conditions
    found = balanced(conditions, names, real, generate, sampler.trained.run.name)
    assert conditions is not None  # `balanced` sees to it
    planned = RunAttributes.of(conditions, ConditionPlan(combinations=found))
    return replace(sampler, trained=replace(sampler.trained, attributes=planned))


def exported_combinations(sampler: SeededGenerator, label: str, made: Mapping[str, int]) -> list[ExportedCombination]:
    """The combinations of a class with the number of images that were made of each."""
    told = sampler.trained.attributes
    planned = [] if told is None else told.plan.combinations.get(label, [])
    return [ExportedCombination(**one.model_dump(), synthetic=made.get(in_text(one.values), 0)) for one in planned]
