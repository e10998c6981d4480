"""Settings that have no meaning for families that start from images are named, all at once."""

from __future__ import annotations

import pytest

from synthaug.config import resolve
from synthaug.errors import SynthaugError
from synthaug.pipelines.config_checks import check_config

FAMILIES = ["translator", "cyclegan", "cut", "dagan", "pix2pix"]
FAULTS = {
    "model.discriminator=projected": "model.discriminator = 'projected'",
    "model.discriminator=unconditional": "model.discriminator = 'unconditional'",
    "training.auxiliary={acgan: 1.0}": "training.auxiliary has acgan",
    "training.regularizers={mode-seeking: 1.0, r1: 1.0}": "training.regularizers has mode-seeking, which",
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("setting", FAULTS)
def test_settings_of_other_games_are_refused(family: str, setting: str) -> None:
    with pytest.raises(SynthaugError) as raised:
        check_config(resolve(sets=[f"model.family={family}", setting]).config)
    assert FAULTS[setting] in raised.value.message
    assert ";" not in raised.value.message
    check_config(resolve(sets=[f"model.family={family}"]).config)


def test_all_of_them_are_named_at_once() -> None:
    sets = ["model.family=cut", "training.discriminator_steps=3", *list(FAULTS)[1:]]
    with pytest.raises(SynthaugError) as raised:
        check_config(resolve(sets=sets).config)
    for fault in ("unconditional", "acgan", "mode-seeking", "discriminator_steps = 3"):
        assert fault in raised.value.message


def test_the_critic_of_dagan_may_learn_more_often_and_takes_no_source_classes() -> None:
    check_config(resolve(sets=["model.family=dagan", "training.discriminator_steps=5"]).config)
    with pytest.raises(SynthaugError, match="dagan translates none"):
        check_config(resolve(sets=["model.family=dagan", "model.source_classes=[a]"]).config)


@pytest.mark.parametrize(
    ("family", "mode"), [("cyclegan", "vary"), ("cut", "both"), ("dagan", "translate"), ("dagan", "both")]
)
def test_a_family_is_asked_only_for_what_it_can_do(family: str, mode: str) -> None:
    with pytest.raises(SynthaugError, match=f"model.mode = '{mode}'"):
        resolve(sets=[f"model.family={family}", f"model.mode={mode}"])


@pytest.mark.parametrize("family", FAMILIES)
def test_there_are_no_codes(family: str) -> None:
    with pytest.raises(SynthaugError, match="continuous_codes"):
        resolve(sets=[f"model.family={family}", "model.continuous_codes=2"])
