"""Micro-batches take the steps of the whole batch, in every game; and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from step_material import BATCH, COUNT, SETTINGS, assert_close, trained, without_levels

from synthaug.config import family_options, validate
from synthaug.errors import SynthaugError
from synthaug.pipelines.config_checks import check_config
from synthaug.training.steps import STEPS
from synthaug.translators.options import SourceOptions
from synthaug.turns import State, Turns

REFUSED = {"lapgan", "lecam", "mode-seeking"}
# "full pool" is one of cyclegan
LEFT_OUT = REFUSED | {"cyclegan"} | {name for name in SETTINGS if name.startswith("micro-batches")}
FROM_IMAGES = {name for name in SETTINGS if issubclass(family_options(SETTINGS[name].family), SourceOptions)}


def run(name: str, micro_batch_size: int | None) -> dict[str, Any]:
    setting = SETTINGS[name]
    divided = setting._replace(training={**setting.training, "micro_batch_size": micro_batch_size})
    with without_levels():
        return trained(divided, Fabric(accelerator="cpu", devices=1), 1 if name in FROM_IMAGES else COUNT)


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in LEFT_OUT])
def test_micro_batches_take_the_steps_of_the_whole(name: str) -> None:
    whole, divided = run(name, None), run(name, BATCH // 3)
    assert (whole["parts"], divided["parts"]) == (1, 3)
    assert_close(whole, [divided])


def test_micro_batches_are_deterministic() -> None:
    one, other = run("stylegan2", 8), run("stylegan2", 8)
    assert all(torch.equal(value, other["after"][key]) for key, value in one["after"].items())


@pytest.mark.parametrize(
    ("model", "training", "error", "hint"),
    [
        ({"family": "stylegan2"}, {"regularizers": {"lecam": 1.0}}, "lecam compares all images", "lecam: 0"),
        ({"family": "r3gan"}, {"regularizers": {"mode-seeking": 1.0}}, "mode-seeking compares all", "mode-seeking: 0"),
        ({"family": "stylegan2"}, {"micro_batch_size": 10}, "micro_batch_size = 10 does not divide", "4 or 8 or 16"),
        ({"family": "stylegan2"}, {"micro_batch_size": 12}, "micro_batch_size = 12 does not divide", "4 or 8 or 16"),
    ],
)
def test_batches_that_cannot_be_divided(model: Any, training: Any, error: str, hint: str) -> None:
    config = validate({"model": model, "training": {"batch_size": 32, "micro_batch_size": 8, **training}})
    with pytest.raises(SynthaugError, match=error) as refused:
        check_config(config)
    assert hint in refused.value.hint
    undivided = config.training.model_copy(update={"micro_batch_size": None})
    check_config(config.model_copy(update={"training": undivided}))


def test_batch_norm_outside_of_one_pass_of_the_generator_is_refused() -> None:
    with pytest.raises(SynthaugError, match="batch norm of lapgan"):
        run("lapgan", 8)


def test_one_part_that_fails_ends_all() -> None:
    turns = Turns(3, State([], torch.Generator()), torch.device("cpu"))

    def step() -> None:
        turns.meet(None, len)
        if turns.part == 1:
            raise ValueError("broken")
        turns.meet(None, len)

    with pytest.raises(ValueError, match="broken"):
        turns.run(step)
    assert turns.run(lambda: turns.meet(turns.part, list)) == [[0, 1, 2]] * 3  # and can be used again


class Kept:
    """A tensor that is kept for a gradient, and the bytes of all of them now and at most."""

    now = most = 0

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        Kept.now += tensor.nbytes
        Kept.most = max(Kept.most, Kept.now)

    def __del__(self) -> None:
        Kept.now -= self.tensor.nbytes


@pytest.mark.parametrize(("name", "share"), [("stylegan2", 0.2), ("dcgan", 0.7)])  # dcgan keeps its generator's graph
def test_less_is_kept_for_gradients(name: str, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    play = STEPS.get("adversarial")

    def watched(*arguments: Any) -> Any:
        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            return play(*arguments)

    monkeypatch.setattr(STEPS, "get", lambda name: watched)
    most = []
    for size in (None, 4):
        Kept.most = 0
        run(name, size)
        most.append(Kept.most)
    assert most[1] < share * most[0]
