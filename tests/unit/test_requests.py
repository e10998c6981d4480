"""Requests: each contradiction and each range once, in one error with a hint; defaults; how pydantic's faults sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from synthaug.errors import SynthaugError
from synthaug.requests import (
    CheckRequest,
    EvaluateRequest,
    ExportRequest,
    FitRequest,
    InspectRequest,
    RegenerateRequest,
    Request,
    SamplesRequest,
    TraverseRequest,
    UpscaleRequest,
    documented,
)
from synthaug.runs import Run

FOLDER = {"data": "real", "synthetic": "made"}
FAULTS: list[tuple[type[Request], dict[str, Any], str, str]] = [
    (InspectRequest, {}, "DATA is missing", "synthaug inspect --help"),
    (InspectRequest, {"data": "x", "group": "y"}, "no option 'group'", 'did you mean "group_by"'),
    (FitRequest, {"data": "x", "device": "tpu"}, "--device 'tpu' is not known", "choices: auto, cpu, cuda, mps"),
    (FitRequest, {"data": "x", "device": "cuda:one"}, "--device 'cuda:one'", "cuda"),
    (FitRequest, {"data": "x", "source_classes": ""}, "--source-classes names no class", "coat,dress"),
    (FitRequest, {"data": "x", "seed": "abc"}, "--seed 'abc' is not a whole number", "give a whole number"),
    (FitRequest, {"data": "x", "resume": "0", "name": "y"}, "--resume and --name contradict each other", "leave one"),
    (FitRequest, {"data": "x", "resume": "0", "from_": "1"}, "--resume and --from contradict each other", "leave one"),
    (FitRequest, {"data": "x", "resume": "0", "budget": "1kimg", "set": "a=1"}, "--budget, --set a=1 was", "leave"),
    (ExportRequest, {"per_class": 0}, "--per-class '0': a class needs at least one image", "such as 5000"),
    (ExportRequest, {"per_class": ["many"]}, "--per-class 'many' is not a number", "rare=5000"),
    (ExportRequest, {"per_class": ["20", "cat=3"]}, "'20' was given with other totals", "NAME=N for each"),
    (ExportRequest, {"per_class": {"cat": True}}, "--per-class 'cat=True'", "rare=5000"),
    (ExportRequest, {"per_class": {"cat": 3}, "strategy": "minority"}, "--strategy 'minority'", "one number"),
    (ExportRequest, {"strategy": "fair"}, "--strategy 'fair' is not known", "not majority"),
    (ExportRequest, {"format": "foldr"}, "no format 'foldr'", 'did you mean "folder"'),
    (ExportRequest, {"size": "model", "upscaler": "3"}, "--upscaler 3 needs --size native", "leave one"),
    (UpscaleRequest, {"run": "3", "folder": "x"}, "--out is missing", "synthaug upscale --help"),
    (UpscaleRequest, {"folder": "x", "out": "y"}, "RUN is missing", "synthaug upscale --help"),
    (EvaluateRequest, {"upscaler": "3"}, "--upscaler 3 has no effect at the generator's size", "--size native"),
    (EvaluateRequest, {"upscaler": "3", "size": 64, "folds": 2}, "has seen test images of --folds 2", "one split"),
    (EvaluateRequest, {"upscaler": "3", "size": 64, "synthetic": "made"}, "--synthetic 'made'", "leave it out"),
    (ExportRequest, {"size": "huge"}, "--size 'huge' is not known", "native, model"),
    (ExportRequest, {"cap": True, "synthetic_only": True}, "--synthetic-only and --cap contradict", "leave one"),
    (ExportRequest, {"link": True, "synthetic_only": True}, "--synthetic-only and --link contradict", "leave one"),
    (ExportRequest, {"recommended": True, "per_class": 5}, "--recommended and --per-class contradict", "leave one"),
    (ExportRequest, {"recommended": True, "synthetic_only": True}, "--recommended and --synthetic-only", "leave one"),
    (ExportRequest, {"recommended": True, "cap": True}, "--recommended and --cap contradict", "leave one"),
    (ExportRequest, {"recommended": True, "strategy": "minority"}, "--recommended and --strategy", "leave one"),
    (ExportRequest, {"truncation": 0}, "truncation 0 is out of range", "above 0"),
    (ExportRequest, {"truncation": "nan"}, "truncation nan is out of range", "up to 1"),
    (SamplesRequest, {"truncation": 1.01}, "truncation 1.01 is out of range", "up to 1"),
    (ExportRequest, {"select": "dsr"}, "--select 'dsr' is not known", 'did you mean "drs"'),
    (ExportRequest, {"select": "drs", "keep": 0.001}, "--keep 0.001 is out of range", "from 0.02 to 1"),
    (ExportRequest, {"select": "drs", "keep": float("nan")}, "--keep nan is out of range", "from 0.02 to 1"),
    (ExportRequest, {"keep": 0.5}, "--keep 0.5 needs --select", "--select drs or"),
    (ExportRequest, {"seed": -1}, "--seed -1 is out of range", "from 0 to 2147483647"),
    (EvaluateRequest, {"seeds": 1}, "--seeds 1 is out of range", "from 2 to 10000"),
    (EvaluateRequest, {"steps": 0}, "--steps 0 is out of range", "from 1 to "),
    (EvaluateRequest, {"jobs": 0}, "--jobs 0 is out of range", "from 1 to "),
    (EvaluateRequest, {"folds": 1}, "--folds 1 is out of range", "from 2 to 20"),
    (EvaluateRequest, {"mix": "none"}, "--mix 'none' is not known", "targets, all"),
    (EvaluateRequest, {"classifier": "cnnn"}, "no classifier 'cnnn'", 'did you mean "cnn"'),
    (EvaluateRequest, {"size": "nativ"}, "--size 'nativ' is not known", "model, native, or a side from 16 to 1024"),
    (EvaluateRequest, {"size": "8"}, "--size 8 is out of range", "such as --size 96"),
    (EvaluateRequest, {"size": True}, "--size 'True' is not known", "such as --size 96"),
    (EvaluateRequest, {"shares": "few"}, "--shares 'few' is not a list of numbers", "0.1,0.25,0.5"),
    (EvaluateRequest, {"shares": [0.5, 1.0]}, "1 is not between 0 and 1", "0.1,0.25,0.5"),
    (EvaluateRequest, {"folds": 2, "test": "held"}, "--test 'held' was given too", "leave one"),
    (EvaluateRequest, {"folds": 2, "synthetic": "made"}, "--synthetic 'made' was given too", "leave one"),
    (EvaluateRequest, {"folds": 2, **FOLDER}, "--data 'real' was given too", "leave one"),
    (EvaluateRequest, {"folds": 2, "checkpoint": "kimg000000"}, "one checkpoint 'kimg000000'", "best or last"),
    (EvaluateRequest, {"generators": 1}, "--generators 1 is out of range", "from 2 to 20"),
    (EvaluateRequest, {"generators": 2, "folds": 2}, "--folds and --generators contradict each other", "leave one"),
    (EvaluateRequest, {"generators": 2, "synthetic": "made"}, "--synthetic 'made' was given too", "leave one"),
    (EvaluateRequest, {"replicates": "8,9", "checkpoint": "kimg000000"}, "one checkpoint 'kimg000000'", "best or last"),
    (EvaluateRequest, {"data": "real"}, "no synthetic images to judge", "--synthetic DIR"),
    (EvaluateRequest, {"run": "0", **FOLDER}, "--data 'real' and the run '0'", "leave one"),
    (EvaluateRequest, {"runs": "runs", **FOLDER}, "--runs was given with --data 'real'", "leave it out"),
    (EvaluateRequest, {"checkpoint": "best", "synthetic": "made"}, "--checkpoint was given with", "leave it out"),
    (EvaluateRequest, {"gate": True, "synthetic": "made"}, "--gate or --no-gate was given with", "leave it out"),
    (EvaluateRequest, {"target_class": ["cat"]}, "--target-class was given without --data", "--data DATA"),
    (EvaluateRequest, {"resolution": 32}, "--resolution was given without --data", "--data DATA"),
    (EvaluateRequest, {"group_by": "(a)"}, "--group-by was given without --data", "--data DATA"),
    (CheckRequest, {"count": 7}, "--count 7 is out of range", "from 8 to 100000"),
    (SamplesRequest, {"count": 0}, "--count 0 is out of range", "from 1 to 100000"),
    (TraverseRequest, {"along": "noise", "code": 1}, "--code 1 and --along noise contradict", "leave one"),
    (TraverseRequest, {"to": "cat"}, "--to 'cat' needs a walk along classes", "--along classes"),
    (TraverseRequest, {"rows": 101}, "--rows 101 is out of range", "from 1 to 100"),
    (TraverseRequest, {"steps": 1}, "--steps 1 is out of range", "from 2 to 100"),
    (TraverseRequest, {"out": "walk.jpg"}, "--out 'walk.jpg' is not the name of a PNG file", ".png"),
    (RegenerateRequest, {"manifest": "m", "row": [3, -1]}, "--row -1 is out of range", "at least 0"),
]


@pytest.mark.parametrize(("request_type", "options", "says", "hint"), FAULTS)
def test_a_fault_is_one_error_with_a_hint(
    request_type: type[Request], options: dict[str, Any], says: str, hint: str
) -> None:
    with pytest.raises(SynthaugError) as raised:
        request_type(**options)
    assert says in raised.value.message
    assert hint in raised.value.hint


def test_what_the_command_line_writes_means_what_python_writes() -> None:
    assert ExportRequest(per_class=["a=3", "b=4"]) == ExportRequest(per_class={"a": 3, "b": 4})
    assert ExportRequest(per_class=["50"], seed="3").per_class == 50
    assert EvaluateRequest(shares="0.1,.5", arms="real, synthetic").shares == (0.1, 0.5)
    assert EvaluateRequest(shares="0.1", arms="real, synthetic").arms == ("real", "synthetic")
    assert (EvaluateRequest(size="96").size, EvaluateRequest(size="native").size) == (96, "native")
    assert RegenerateRequest(manifest="m", row=["1", "2"]).row == (1, 2)
    assert FitRequest(data="x", device="cuda:1").device == "cuda:1"


def test_a_run_may_be_given_as_such() -> None:
    assert SamplesRequest(run=Run(Path("runs/00003-x"))).run == "runs/00003-x"
    assert SamplesRequest(run=3).run == "3"


def test_the_configuration_keys_of_a_fit() -> None:
    request = FitRequest(data="x", budget="5kimg", fit="crop", set=["model.width=8"])
    assert request.flags() == {"training.budget": "5kimg", "data.fit": "crop"}
    assert request.settings() == ("model.width=8",)
    by_mapping = FitRequest(data="x", set={"model.width": 8, "seed": 1}, seed=2)
    assert (by_mapping.flags(), by_mapping.settings()) == ({"model.width": 8, "seed": 2}, ())
    assert not FitRequest(data="x", resume="auto", name="y").continues()


def test_defaults_count_as_not_given() -> None:
    def function(synthetic: str, checkpoint: str = "best", gate: bool = True, progress: object = None) -> Any:
        return EvaluateRequest.of(locals())

    assert function("made").model_fields_set == {"synthetic"}
    with pytest.raises(SynthaugError, match="--checkpoint was given"):
        function("made", checkpoint="last")


def test_a_request_does_not_change() -> None:
    with pytest.raises(ValidationError):
        ExportRequest().gate = False  # type: ignore[misc]


def test_a_documented_function_lists_its_arguments() -> None:
    @documented(InspectRequest)
    def inspect() -> None:
        """Look.

        Raises:
            SynthaugError: bad input.
        """

    text = inspect.__doc__ or ""
    assert text.startswith("Look.\n\nArgs:\n    data: Folder of images")
    assert text.endswith("see `synthaug.progress`.\n\nRaises:\n    SynthaugError: bad input.")
