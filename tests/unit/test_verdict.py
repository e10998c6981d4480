"""The rules of the verdict, on F1 tables made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.documents import VerdictDocument
from synthaug.evaluation.arms import CONTROLS, DOWN_UP
from synthaug.evaluation.best_control import BestControl
from synthaug.evaluation.longer import longer_training, with_longer
from synthaug.evaluation.statistics import F1Table
from synthaug.evaluation.verdict import CAVEAT, FOLDS_CAVEAT, MACRO, find, judge

NAMES = ["common", "rare", "other"]
WOBBLE = np.array([-0.004, -0.002, 0.0, 0.002, 0.004])


def table(*means: float, wobble: float = 1.0, shift: int = 0, noise: float = 0.0) -> F1Table:
    """Five seeds around `means`, one a class; `noise` is the spread that the test set gives."""
    seeds = np.array(means) + wobble * np.roll(WOBBLE, shift)[:, None]
    resamples = np.array(means) + noise * np.random.default_rng(shift).normal(size=(1000, 1))
    return F1Table(seeds, resamples)


def arms(synthetic: float, augmented: float, best: float = 0.5, **more: float) -> dict[str, F1Table]:
    """Only the F1 of the class `rare` differs. Classical augmentation has 0.55, `real` has `best`, others 0.50."""
    return dict.fromkeys(CONTROLS, table(0.8, 0.50, 0.8)) | {
        "real": table(0.8, best, 0.8),
        "oversample": table(0.8, 0.50, 0.8, shift=1),
        "classical": table(0.8, 0.55, 0.8, shift=2),
        "synthetic": table(0.8, synthetic, 0.8, shift=3, **more),
        "synthetic+classical": table(0.8, augmented, 0.8, shift=4, **more),
    }


def verdict(tables: dict[str, F1Table], targets: list[str] | None = None) -> VerdictDocument:
    return judge(tables, NAMES, targets or ["rare"], np.array([50, 50, 50]))


def test_helps_when_one_contrast_is_above_zero_and_no_control_is_better() -> None:
    found = verdict(arms(0.51, 0.65))
    assert found.overall == "helps"
    assert found.per_target == {"rare": "helps"}
    assert found.contrasts["synthetic+classical-classical"].mean == pytest.approx(0.10)
    assert found.contrasts["synthetic+classical-classical"].low > 0
    assert found.best_control == "classical"
    assert "+0.100" in found.sentence
    assert "Other classes" not in found.sentence
    assert found.caveats == [CAVEAT]


def test_a_gain_that_other_classes_pay_for_is_said_with_its_price() -> None:
    tables = arms(0.51, 0.65) | {"synthetic+classical": table(0.6, 0.65, 0.7, shift=4)}
    found = verdict(tables)
    assert found.overall == "helps"
    assert "Other classes lose: macro-F1 of all classes -0.067" in found.sentence


def test_beating_a_weak_control_is_not_enough() -> None:
    found = verdict(arms(0.54, 0.55))  # better than oversampling, not than classical augmentation
    assert found.details["rare"].contrasts["synthetic-oversample"].low > 0
    assert found.overall == "no measurable effect"
    assert "classical is even better" in found.details["rare"].reason


def test_any_control_counts() -> None:
    found = verdict(arms(0.51, 0.65, best=0.7))
    assert found.overall == "no measurable effect"
    assert found.best_control == "real"


def test_what_may_have_been_missed_is_said_as_a_share_of_cases() -> None:
    found = verdict(arms(0.5, 0.55, noise=0.02))
    assert f"An effect below {found.smallest_detectable:.3f} is found in fewer than 80% of cases" in found.sentence
    two = verdict(arms(0.5, 0.55, noise=0.02), ["rare", "other"])
    assert two.smallest_detectable is not None
    assert two.smallest_detectable > (found.smallest_detectable or 1.0)
    assert "the class where it is the hardest to see, is found in fewer than 80%" in two.sentence


def test_hurts_only_when_both_contrasts_are_below_zero() -> None:
    assert verdict(arms(0.40, 0.45)).overall == "hurts"
    assert verdict(arms(0.40, 0.55)).overall == "no measurable effect"
    assert "Use classical instead" in verdict(arms(0.40, 0.45)).sentence


def test_a_noisy_test_set_shows_nothing() -> None:
    found = verdict(arms(0.51, 0.65, noise=0.08))
    assert found.overall == "no measurable effect"
    assert found.smallest_detectable > 0.15
    assert f"{found.smallest_detectable:.3f}" in found.sentence


def test_macro_f1_has_its_own_answer_and_leaves_absent_classes_out() -> None:
    found = judge(arms(0.51, 0.65), NAMES, ["rare"], np.array([50, 50, 0]))
    assert found.details[MACRO].contrasts["synthetic+classical-classical"].mean == pytest.approx(0.05)


def test_being_above_another_control_by_luck_is_not_enough() -> None:
    """0.56 beats oversampling's 0.50 for sure; classical augmentation's 0.55 it beats in one seed of two."""
    tables = arms(0.56, 0.55)
    tables["synthetic"].seeds[:, 1] = 0.56 + 0.02 * np.array([-1, 1, -1, 1, 0])
    found = verdict(tables)
    details = found.details["rare"]
    assert details.contrasts["synthetic-oversample"].low > 0
    assert details.best_control == "classical"
    assert details.against_best["synthetic"].mean == pytest.approx(0.01)
    assert details.against_best["synthetic"].low < 0
    assert found.overall == "no measurable effect"
    assert "classical is not measurably worse" in details.reason


@pytest.mark.parametrize("left_out", [name for name in CONTROLS if name != "oversample"])
def test_nothing_is_said_to_help_while_a_control_is_missing(left_out: str) -> None:
    tables = arms(0.9, 0.95)
    assert verdict(tables).overall == "helps"
    del tables[left_out]
    found = verdict(tables)
    assert found.missing_controls == [left_out]
    assert found.overall == found.per_target["rare"] == "no measurable effect"
    assert f"{left_out} may do as well, and was not trained" in found.sentence
    assert f"{left_out} may do as well" in found.details["rare"].reason


@pytest.mark.parametrize("imitation", list(DOWN_UP))
def test_where_images_are_enlarged_their_blur_must_be_beaten_too(imitation: str) -> None:
    """0.65 beats all others. Real images that were reduced and enlarged reach 0.66, 0.60, or were not trained."""
    needed = [*CONTROLS, *DOWN_UP]
    for reached, expected in ((0.66, "no measurable effect"), (0.60, "helps")):
        tables = arms(0.51, 0.65) | dict.fromkeys(DOWN_UP, table(0.8, 0.5, 0.8))
        tables[imitation] = table(0.8, reached, 0.8, shift=5)
        found = judge(tables, NAMES, ["rare"], np.array([50, 50, 50]), needed=needed)
        assert found.overall == expected
        del tables[imitation]
        found = judge(tables, NAMES, ["rare"], np.array([50, 50, 50]), needed=needed)
        assert (found.overall, found.missing_controls) == ("no measurable effect", [imitation])


def test_an_imitation_is_not_recommended() -> None:
    tables = arms(0.40, 0.45) | dict.fromkeys(DOWN_UP, table(0.8, 0.7, 0.8))
    found = judge(tables, NAMES, ["rare"], np.array([50, 50, 50]), needed=[*CONTROLS, *DOWN_UP])
    assert found.overall == "hurts"
    assert "Leave them out" in found.sentence


def test_a_control_that_the_classifier_cannot_train_is_not_missing() -> None:
    tables = arms(0.9, 0.95)
    del tables["cmo"]
    able = [name for name in CONTROLS if name != "cmo"]
    assert judge(tables, NAMES, ["rare"], np.array([50, 50, 50]), needed=able).overall == "helps"


def chosen_on_val(tables: dict[str, F1Table], name: str) -> VerdictDocument:
    return judge(tables, NAMES, ["rare"], np.array([50, 50, 50]), best=BestControl(name, "val"))


def test_the_control_that_val_chose_decides_and_not_the_best_of_many_on_test() -> None:
    tables = arms(0.51, 0.65) | {"cmo": table(0.8, 0.65, 0.8, shift=2)}
    assert verdict(tables).overall == "no measurable effect"
    found = chosen_on_val(tables, "classical")
    assert found.overall == "helps"
    assert (found.best_control, found.best_control_chosen_on) == ("classical", "val")
    assert found.against_best["synthetic+classical"].mean == pytest.approx(0.10)
    assert "the arm beats oversample too" in found.details["rare"].reason
    assert verdict(tables).best_control_chosen_on == "test"


@pytest.mark.parametrize(("chosen", "f1"), [("cmo", 0.70), ("cmo", 0.65)])
def test_a_better_or_equal_control_that_val_chose_is_not_beaten(chosen: str, f1: float) -> None:
    found = chosen_on_val(arms(0.51, 0.65) | {chosen: table(0.8, f1, 0.8, shift=2)}, chosen)
    assert found.overall == "no measurable effect"
    assert f"the control {chosen} is" in found.details["rare"].reason


def test_the_control_of_the_comparison_must_be_beaten_whatever_val_chose() -> None:
    """Val chose a weak control by chance: classical augmentation alone beats it too."""
    tables = arms(0.51, 0.65) | {"classical": table(0.8, 0.65, 0.8, shift=2)}
    assert chosen_on_val(tables, "real").overall == "no measurable effect"


def test_hurts_needs_no_other_control() -> None:
    tables = arms(0.4, 0.5)
    del tables["synthetic+classical"], tables["classical"], tables["real"]
    assert verdict(tables).overall == "hurts"


def test_folds_have_another_caveat() -> None:
    tables = arms(0.51, 0.65)
    assert judge(tables, NAMES, ["rare"], np.array([50, 50, 50]), folds=5).caveats == [FOLDS_CAVEAT]


def test_many_targets_are_corrected_together() -> None:
    """p = 0.03 is a finding for one target, and none among ten."""
    names = [f"class {i}" for i in range(10)]
    rng = np.random.default_rng(0)
    base = np.full((5, 10), 0.5)
    gain = np.zeros((5, 10))
    gain[:, 0] = 0.02 + 0.0142 * np.array([-1.2, -0.6, 0, 0.6, 1.2])
    tables = {
        "oversample": F1Table(base, np.tile(base[:1], (1000, 1))),
        "synthetic": F1Table(base + gain, np.tile((base + gain).mean(axis=0), (1000, 1))),
    }
    tables |= dict.fromkeys([name for name in CONTROLS if name not in tables], tables["oversample"])
    tables["synthetic"].seeds[:, 1:] += rng.normal(0, 0.01, (5, 9))
    alone = judge(tables, names, names[:1], np.full(10, 50))
    p_value = alone.details[names[0]].contrasts["synthetic-oversample"].p_value
    assert p_value is not None
    assert 0.01 < p_value < 0.05
    assert alone.overall == "helps"
    together = judge(tables, names, names, np.full(10, 50))
    assert together.per_target[names[0]] == "no measurable effect"
    assert "not significant after correction for 10 comparisons" in together.details[names[0]].reason
    assert together.overall == "no measurable effect"
    assert "Without correction for several classes, class 0, class 5 would differ" in together.sentence


def test_targets_that_agree_are_not_called_chance() -> None:
    """Each of three gains with p = 0.03, which correction takes away; their mean gains for sure."""
    names = ["a", "b", "c"]
    base = np.full((5, 3), 0.5)
    wobble = 0.0355 * np.array([-1.2, -0.6, 0, 0.6, 1.2])
    gain = 0.05 + np.stack([np.roll(wobble, shift) for shift in (0, 2, 4)], axis=1)
    tables = {
        "oversample": F1Table(base, np.tile(base[:1], (1000, 1))),
        "synthetic": F1Table(base + gain, np.tile((base + gain).mean(axis=0), (1000, 1))),
    }
    tables |= dict.fromkeys([name for name in CONTROLS if name not in tables], tables["oversample"])
    found = judge(tables, names, names, np.full(3, 50))
    assert set(found.per_target.values()) == {"no measurable effect"}
    assert found.contrasts["synthetic-oversample"].low > 0
    assert "their mean F1 does: +0.050" in found.sentence


def test_the_surer_arm_is_the_one_that_helps() -> None:
    """0.60 with little luck in it, and 0.61 with much."""
    tables = arms(0.60, 0.60) | {"synthetic+classical": table(0.8, 0.61, 0.8, wobble=8, shift=4)}
    found = verdict(tables)
    assert found.details["rare"].helping == "synthetic-oversample"
    assert found.overall == "helps"
    assert "with synthetic instead of oversample" in found.sentence


@pytest.mark.parametrize("synthetic", [0.9, 0.1])
def test_test_images_of_few_groups_decide_nothing(synthetic: float) -> None:
    tables = arms(synthetic, synthetic)
    assert find(tables, [1], np.full(3, 6)).verdict != "no measurable effect"
    for groups, words in ((1, "one group"), (5, "only 5 groups")):
        found = judge(tables, NAMES, ["rare"], np.array([50, groups, 50]))
        assert found.overall == "no measurable effect"
        assert words in found.details["rare"].reason
        assert found.smallest_detectable is None


def test_opposite_targets_give_no_overall_answer() -> None:
    def both(rare: float, other: float, shift: int) -> F1Table:
        return table(0.8, rare, other, shift=shift)

    tables = dict.fromkeys(CONTROLS, both(0.5, 0.5, 0)) | {
        "oversample": both(0.5, 0.5, 0),
        "classical": both(0.5, 0.5, 1),
        "synthetic": both(0.6, 0.4, 2), "synthetic+classical": both(0.6, 0.4, 3),
    }  # fmt: skip
    found = verdict(tables, ["rare", "other"])
    assert found.per_target == {"rare": "helps", "other": "hurts"}
    assert found.overall == "no measurable effect"
    assert "help rare and hurt other" in found.sentence


def test_one_contrast_can_decide_alone() -> None:
    tables = arms(0.6, 0.0)
    del tables["synthetic+classical"]
    assert find(tables, [1], np.full(3, 50)).verdict == "helps"


def said(synthetic: float, longer: float) -> tuple[str, VerdictDocument]:
    """The sentence, if classical augmentation has 0.55, `synthetic+classical` this F1, and twice the steps that."""
    tables = arms(0.51, synthetic)
    verdict = judge(tables, ["common", "rare", "other"], ["rare"], np.array([50, 50, 50]))
    before = verdict.sentence
    verdict = with_longer(
        verdict, longer_training(tables, table(0.8, longer, 0.8), "classical", [1], np.array([50, 50, 50]))
    )
    assert verdict.sentence.startswith(f"{before} ")
    return verdict.sentence.removeprefix(f"{before} "), verdict


def test_a_gain_that_longer_training_has_too_is_said_so() -> None:
    sentence, verdict = said(0.65, longer=0.66)
    assert verdict.overall == "helps"
    assert sentence.startswith("But training longer may do as much: against classical for 2 times the steps, F1 -0.010")


def test_a_gain_that_longer_training_does_not_have() -> None:
    sentence, verdict = said(0.65, longer=0.56)
    assert verdict.overall == "helps"
    assert sentence.startswith(
        "Training longer does not do as much: against classical for 2 times the steps, F1 +0.090"
    )
    assert verdict.longer is not None
    assert verdict.longer.gain.mean == pytest.approx(0.01)


def test_longer_training_alone() -> None:
    sentence, verdict = said(0.55, longer=0.65)
    assert verdict.overall == "no measurable effect"
    assert sentence.startswith("Training longer helps without synthetic images: classical for 2 times the steps")
    assert said(0.55, longer=0.551)[0].startswith("Training longer makes no measurable difference: classical for 2")
