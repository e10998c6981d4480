"""`synthaug recipes`: list, show, copy, edit, check; every recipe that ships is one that `fit` takes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from page_commands import PAGES, trainings

from synthaug.config import Config, recipe_names, recipe_text, resolve
from synthaug.dotted import leaves
from synthaug.errors import SynthaugError
from synthaug.pipelines.config_checks import check_config, config_warnings
from synthaug_cli.recipes import every_key, header

Synthaug = Callable[..., Any]
Listing = Callable[[Path], dict[str, tuple[int, int]]]


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_says_what_it_is_for_and_is_valid(name: str) -> None:
    said = header(recipe_text(name))
    assert set(said) == {"purpose", "cost", "run"}
    assert all(said.values())
    check_config(resolve(name).config)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_are_valid(page: Path) -> None:
    for _, config in trainings(page):
        check_config(config)


def test_ls_names_every_recipe(synthaug: Synthaug, tmp_path: Path) -> None:
    text = synthaug("recipes", "ls", cwd=tmp_path).stdout
    listed = json.loads(synthaug("recipes", "ls", "--json", cwd=tmp_path).stdout)["recipes"]
    assert sorted(listed) == recipe_names()
    assert all(name in text for name in recipe_names())
    places = [text.index(f"\n {name} ") for name in ("auto", "default", "demo", "gpu-64", "translator", "acgan")]
    assert places == sorted(places)


def test_every_key_is_shown_with_its_default() -> None:
    assert leaves(yaml.safe_load(every_key(Config()))) == leaves(Config().model_dump(mode="json"))


def test_copy_edit_validate(synthaug: Synthaug, listing: Listing, tmp_path: Path) -> None:
    assert synthaug("recipes", "cp", "default", "mine.yaml", cwd=tmp_path).status == 0
    assert (tmp_path / "mine.yaml").read_text() == recipe_text("default")
    assert synthaug("recipes", "validate", "mine.yaml", cwd=tmp_path).status == 0
    before = listing(tmp_path)
    again = synthaug("recipes", "cp", "default", "mine.yaml", cwd=tmp_path)
    assert again.status == 2
    assert "'mine.yaml'" in again.stderr
    assert listing(tmp_path) == before


def test_validate_names_every_fault_at_once(synthaug: Synthaug, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("training: {batch_size: 1, objectiv: hinge}\nmodel: {z_dim: none}\n")
    done = synthaug("recipes", "validate", "bad.yaml", cwd=tmp_path)
    assert done.status == 2
    for fault in ("training.batch_size = 1", "training.objectiv", "model.z_dim = 'none'"):
        assert fault in done.lines("error: ")[0]
    assert 'did you mean "training.objective"' in done.lines("hint: ")[0]


@pytest.mark.parametrize(
    ("model", "model_faults"),
    [
        ("{family: dcgen, discriminator: unconditional}", ["'dcgen'", "ignores labels"]),
        ("{family: dcgan, discriminator: unconditional, continuous_codes: 2}", ["InfoGAN codes", "ignores labels"]),
    ],
)
def test_every_unknown_name_and_incompatible_setting_is_named(
    tmp_path: Path, model: str, model_faults: list[str]
) -> None:
    (tmp_path / "bad.yaml").write_text(
        f"model: {model}\n"
        "training: {objective: hinge, regularizers: {r3: 1}, auxiliary: {acgn: 1}, augment: [colour], ada: true,"
        " label_smoothing: 0.1}\nmonitor: {features: nothing}\n"
    )
    with pytest.raises(SynthaugError) as raised:
        check_config(resolve(file=tmp_path / "bad.yaml").config)
    faults = raised.value.message
    for fault in (*model_faults, "'r3'", "'acgn'", "'colour'", "'nothing'", "label_smoothing = 0.1"):
        assert fault in faults
    assert "training.ada" not in faults  # ADA has a transform to adapt, although its name is wrong


@pytest.mark.parametrize(
    ("settings", "unused"),
    [
        (["training.ada_kimg=50"], ["training.ada_kimg = 50.0"]),
        (["training.ada=true", "training.ada_kimg=50"], []),
        (["training.regularizer_interval=2", "training.regularizer_decay=0.5"], ["interval = 2", "decay = 0.5"]),
        (["training.regularizer_interval=2", "training.objective=non-saturating"], []),
        (["training.regularizer_interval=2", "training.regularizers={lecam: 0.3}"], []),
        (["gate.steps=20", "gate.agreement=false"], ["gate.steps = 20"]),
        (["gate.agreement=false"], []),
    ],
)
def test_a_setting_without_effect_is_a_warning(settings: list[str], unused: list[str]) -> None:
    warnings = config_warnings(resolve(sets=settings).config)
    assert len(warnings) == len(unused)
    for said, warning in zip(unused, warnings, strict=True):
        assert f"{said} has no effect" in warning


def test_shipped_recipes_give_no_warning() -> None:
    assert [name for name in recipe_names() if config_warnings(resolve(name).config)] == []


def test_validate_prints_warnings_and_show_lists_the_options_of_other_families(
    synthaug: Synthaug, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("training: {ada_kimg: 50}\n")
    done = synthaug("recipes", "validate", "mine.yaml", cwd=tmp_path)
    assert done.status == 0
    assert "training.ada_kimg = 50.0 has no effect: training.ada is false" in done.stderr
    shown = synthaug("recipes", "show", cwd=tmp_path).stdout
    assert "# in model, with family biggan:\n#   attention: 0" in shown
    assert "attention" not in json.loads(synthaug("recipes", "show", "--json", cwd=tmp_path).stdout)["config"]["model"]


def test_a_recipe_takes_from_its_base_what_it_does_not_set(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("base: wgan\ntraining: {batch_size: 16}\n")
    resolved = resolve("acgan", file, ["training.beta2=0.8"])
    training = resolved.config.training
    bases = {name: resolve(name).config.training for name in ("default", "wgan", "acgan")}
    assert bases["wgan"].objective != bases["default"].objective
    assert (training.batch_size, training.objective) == (16, bases["wgan"].objective)
    assert training.augment == bases["default"].augment
    assert [resolved.origins[f"training.{key}"] for key in ("batch_size", "objective", "augment", "beta2")] == [
        str(file), "recipe wgan", "recipe default", "--set",
    ]  # fmt: skip
    assert training.auxiliary == bases["acgan"].auxiliary != {}  # the recipe is still below the file


@pytest.mark.parametrize("base", ["wgam", "auto", "[wgan]", "3", "false"])
def test_a_base_that_is_no_recipe_is_refused(base: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"base: {base}\n")
    with pytest.raises(SynthaugError) as raised:
        resolve(file=file)
    assert re.fullmatch(r"base = .* is not a shipped recipe", raised.value.message)
    assert str(file) in raised.value.message
    assert "wgan" in raised.value.hint
    assert "auto" not in raised.value.hint


def test_a_misspelt_base_is_known(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("bsae: wgan\n")
    with pytest.raises(SynthaugError, match="unknown key 'bsae'") as raised:
        resolve(file=tmp_path / "mine.yaml")
    assert raised.value.hint == 'did you mean "base"?'


@pytest.mark.parametrize("section", ["training: {}", "training:", "model: {}"])
def test_a_section_of_which_nothing_is_set_sets_nothing(section: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"base: wgan\n{section}\n")
    assert resolve(file=tmp_path / "mine.yaml").config == resolve("wgan").config
