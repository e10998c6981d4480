"""Registry, configuration, run directories and atomic files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from synthaug import files, runs
from synthaug.config import FAMILY_OPTIONS, Config, resolve
from synthaug.dotted import leaves
from synthaug.errors import SynthaugError, suggest
from synthaug.models.options import BigGANOptions
from synthaug.registry import Registry

STORED = Path(__file__).parents[1] / "stored_configs"


def test_a_registry_suggests_and_lists() -> None:
    table: Registry[object] = Registry("objectives", {"hinge": "fractions:Fraction", "minimax": "decimal:Decimal"})
    assert table.names() == ["hinge", "minimax"]
    assert table.get("hinge").__name__ == "Fraction"  # type: ignore[attr-defined]
    with pytest.raises(SynthaugError, match="no objective 'hnge'") as caught:
        table.get("hnge")
    assert caught.value.hint == 'did you mean "hinge"? choices: hinge, minimax'


def test_errors_are_single_lines() -> None:
    error = SynthaugError("two\n  lines", "a\nhint")
    assert (error.message, error.hint) == ("two lines", "a hint")
    assert suggest("zzz", []) == "there are none"


def test_every_layer_wins_over_the_one_before_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("training: {batch_size: 16, beta2: 0.9}\n")
    made = resolve("default", file, ["training.beta2=0.95"], {"training.budget": "3min", "seed": None})
    assert made.config.training.batch_size == 16
    assert made.config.training.beta2 == 0.95
    assert made.config.training.budget == "3min"
    assert made.origins["training.batch_size"] == str(file)
    assert made.origins["training.beta2"] == "--set"
    assert made.origins["training.budget"] == "flag"
    assert made.origins["model.family"] == "recipe default"
    assert made.origins["seed"] == "default"


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(SynthaugError) as caught:
        resolve(sets=["training.batch_sise=3", "training.beta1=2", "data.resolution=33", "training.budget=soon"])
    for fault in ("training.batch_sise", "training.beta1 = 2", "data.resolution = 33", "'soon'"):
        assert fault in caught.value.message
    assert "training.batch_size" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        (["model.attention=16"], "model.attention (--set) is an option of biggan; this is dcgan", "--family biggan"),
        (["model.family=mlp", "model.continuous_codes=2"], "is an option of dcgan; this is mlp", "--family dcgan"),
        (["model.family=biggan", "model.attention=5"], "model.attention = 5 (--set)", "recipes show"),
        (["model.family=biggan", "model.atention=8"], "unknown key 'model.atention'", '"model.attention"'),
    ],
)
def test_options_belong_to_their_family(settings: list[str], message: str, hint: str) -> None:
    with pytest.raises(SynthaugError) as caught:
        resolve(sets=settings)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_configuration_lists_only_the_options_of_its_family() -> None:
    plain, biggan = resolve(sets=["model.family=mlp"]), resolve("biggan", sets=["model.attention=16"])
    assert biggan.config.model.model_dump().keys() - plain.config.model.model_dump() == {"attention"}
    assert biggan.origins.keys() - plain.origins.keys() == {"model.attention"}
    assert isinstance(biggan.config.model, BigGANOptions)
    assert leaves(biggan.config.model_dump(mode="json"))["model.attention"] == 16


def test_a_plug_in_can_give_its_family_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILY_OPTIONS._entries, "mine", "synthaug.models.options:BigGANOptions")
    assert isinstance(resolve(sets=["model.family=mine", "model.attention=8"]).config.model, BigGANOptions)
    with pytest.raises(SynthaugError, match="is an option of biggan and mine; this is dcgan"):
        resolve(sets=["model.attention=8"])


@pytest.mark.parametrize(("recipe", "settings"), [("default", []), ("biggan", ["model.attention=8"])])
def test_a_run_of_an_earlier_version_opens_and_equals_a_new_configuration(
    tmp_path: Path, recipe: str, settings: list[str]
) -> None:
    run = runs.create(tmp_path, "old")
    stored = (STORED / f"{recipe}.yaml").read_text(encoding="utf-8")
    run.config_file.write_text(stored, encoding="utf-8")
    small = [
        "data.resolution=16", "model.width=8", "model.discriminator_width=8", "training.budget=1kimg",
        "training.batch_size=16", "monitor.every_kimg=1", "monitor.samples_per_class=8", "monitor.features=own",
    ]  # fmt: skip
    assert run.config() == resolve(recipe, sets=[*small, *settings]).config
    foreign = "  attention: 0" if recipe == "default" else "  continuous_codes: 0"
    assert f"  {foreign}\n" in stored
    run.config_file.write_text(stored.replace(f"{foreign}\n", f"{foreign.strip('0')}8\n"), encoding="utf-8")
    with pytest.raises(SynthaugError, match=f"{foreign.strip(' :0')} is an option of"):
        run.config()


def test_leaves_and_back() -> None:
    made = resolve("biggan", sets=["model.attention=16", "training.regularizers={lecam: 0.1}", "seed=3"]).config
    assert resolve(flags=leaves(made.model_dump())).config == made


def test_config_round_trips_through_a_run(tmp_path: Path) -> None:
    run = runs.create(tmp_path, "a run with spaces/and ../dots")
    assert run.path.parent == tmp_path
    resolved = resolve("default", sets=["training.regularizers={lecam: 0.1}"])
    facts = runs.RunFacts(data=tmp_path / "data", fingerprint="x", classes=["ä b", "c"], targets=["c"], channels=1)
    runs.write_config(run, resolved, facts)
    assert run.config() == resolved.config
    assert run.facts() == facts
    run.set_status(state="running")
    run.set_status(kimg=1.0)
    assert run.status()["state"] == "running"
    runs.point_latest(run)
    assert runs.find(None, tmp_path).name == run.name
    assert runs.find("0", tmp_path).name == run.name
    with pytest.raises(SynthaugError, match="no run 'x'"):
        runs.find("x", tmp_path)


DAMAGED = {
    "not a mapping": (b"- a\n- b\n", "not a mapping"),
    "not YAML": (b"data: [", "not valid YAML"),
    "not UTF-8": (b"data: \xff\n", "not UTF-8"),
    "missing keys": (b"data: d\nfingerprint: x\nclasses: [a]\n", "targets is missing; channels is missing"),
    "wrong types": (b"data: d\nfingerprint: x\nclasses: 3\ntargets: []\nchannels: 1\n", "classes = 3"),
}


@pytest.mark.parametrize(("content", "said"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_config_is_one_error(content: bytes, said: str, tmp_path: Path) -> None:
    run = runs.Run(tmp_path)
    run.config_file.write_bytes(content)
    with pytest.raises(SynthaugError, match="is damaged") as caught:
        run.facts()
    assert said in caught.value.message


def test_facts_of_an_old_run(tmp_path: Path) -> None:
    run = runs.Run(tmp_path)
    run.config_file.write_text("data: /d\nfingerprint: x\nclasses: [a, b]\ntargets: [a]\nchannels: 3\nconfig: {}\n")
    facts = run.facts()
    assert (facts.data, facts.channels, facts.started_from) == (Path("/d"), 3, None)
    assert run.config() == Config()


def test_two_processes_never_get_one_number(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from synthaug import runs; "
        f"[runs.create(Path({str(tmp_path)!r}), 'x') for _ in range(8)]"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    assert sorted(int(path.name[:5]) for path in tmp_path.glob("0*")) == list(range(24))


def test_a_crash_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "document.json"
    files.write_json(file, {"version": 1})

    def crash() -> None:
        with files.replacing(file) as temporary:
            temporary.write_text("half of")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        crash()
    assert file.read_text() == '{\n  "version": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["document.json"]


def test_a_run_appears_with_its_first_files_or_not_at_all(tmp_path: Path) -> None:
    def broken(run: runs.Run) -> None:
        run.log("begun")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        runs.create(tmp_path, "x", broken)
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]
    (tmp_path / ".new" / "half").mkdir(parents=True)  # a process was killed
    run = runs.create(tmp_path, "y", lambda run: run.log("whole"))
    assert run.name == "00000-y"
    assert "whole" in (run.path / "log.txt").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "00000-y"]


def test_a_metrics_line_that_a_crash_cut_short_is_left_out(tmp_path: Path) -> None:
    run = runs.create(tmp_path, "x")
    run.append_metrics({"kind": "step", "kimg": 1})
    with run.metrics_file.open("a") as file:
        file.write('{"kimg": 2, "lo')
    assert run.metrics() == [{"kind": "step", "kimg": 1}]
