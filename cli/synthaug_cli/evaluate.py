"""`synthaug evaluate [RUN]`: before and after, against honest controls; verdict and report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthaug.errors import SynthaugError
from synthaug_cli import console, early
from synthaug_cli.options import Cache, Checkpoint, Device, GroupBy, RunArgument, Runs

if TYPE_CHECKING:
    from synthaug.documents import EvaluateDocument

SHOWN = 12  # target classes in the table; the report has all


def command(
    context: typer.Context,
    run: RunArgument = None,
    test: Annotated[
        Path | None,
        typer.Option("--test", metavar="DIR", help="Test images of your own. [default: those that fit kept apart]"),
    ] = None,
    synthetic: Annotated[
        Path | None,
        typer.Option("--synthetic", metavar="DIR", help="Judge this folder of synthetic images, whoever made them."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DATA",
            help="Real images to judge --synthetic DIR on, without a run; divided as `fit` would divide them.",
        ),
    ] = None,
    target_class: Annotated[
        list[str] | None,
        typer.Option(
            "--target-class",
            metavar="NAME",
            help="With --data: a class that the synthetic images are of; many times. [default: auto, the rare ones]",
        ),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option("--resolution", metavar="16|32|64|128", help="With --data: side in pixels.")
    ] = None,
    group_by: GroupBy = None,
    folds: Annotated[
        int | None,
        typer.Option(
            "--folds",
            metavar="K",
            help="Train a generator for each of K folds and judge on all images: for data too small to hold out.",
        ),
    ] = None,
    classifier: Annotated[
        str,
        typer.Option(
            "--classifier",
            metavar="NAME|FILE.py",
            help="What is trained with and without: `synthaug list classifiers`, or a file of your own.",
        ),
    ] = "cnn",
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds", metavar="N", min=2, help="Classifiers trained per arm; at least 5 for a verdict to believe."
        ),
    ] = 5,
    steps: Annotated[
        int,
        typer.Option("--steps", metavar="N", min=1, help="Optimiser steps of every classifier, the same for all arms."),
    ] = 600,
    shares: Annotated[
        str | None,
        typer.Option(
            "--shares",
            metavar="S,S,…",
            help="Shares of a class's draws that may be synthetic; val chooses among them.",
        ),
    ] = None,
    arms: Annotated[
        str | None,
        typer.Option("--arms", metavar="A,A,…", help="Only these arms. [default: all that the classifier can do]"),
    ] = None,
    mix: Annotated[
        str,
        typer.Option("--mix", metavar="targets|all", help="Which classes get synthetic images in the synthetic arms."),
    ] = "targets",
    learning_curve: Annotated[
        bool,
        typer.Option(
            "--learning-curve", help="Train with fewer real images as well: what is the gain worth in real images?"
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the report goes. [default: inside the run]")
    ] = None,
    fail_under: Annotated[
        float | None,
        typer.Option(
            "--fail-under",
            metavar="X",
            help="Exit with 1 if the better contrast gains less than X of mean F1 of the target classes.",
        ),
    ] = None,
    gate: Annotated[bool, typer.Option("--gate/--no-gate", help="Judge gated samples, as export writes them.")] = True,
    checkpoint: Checkpoint = "best",
    runs: Runs = None,
    device: Device = "auto",
    cache: Cache = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", min=1, help="Processes that train classifiers. [default: one a core]"),
    ] = None,
) -> None:
    """Train classifiers with and without the synthetic images, and say whether they help."""
    early.device(device)
    for folder, option in ((test, "--test"), (synthetic, "--synthetic"), (data, "--data")):
        if folder is not None:
            early.folder(folder, option)
    flags = {"data.resolution": resolution, "data.group_by": group_by}
    if data is None:
        _only_with_data({"--target-class": target_class, "--resolution": resolution, "--group-by": group_by})
    else:
        _unused(context, {"runs": "--runs"}, f"--data {str(data)!r}, which needs no run")
    if synthetic is not None:
        generators = {"checkpoint": "--checkpoint", "gate": "--gate or --no-gate"}
        _unused(context, generators, f"--synthetic {str(synthetic)!r}, whose images are judged as they are")
    early.new_folder(out, overwrite=True)
    tried = None if shares is None else _shares(shares)
    chosen = None if arms is None else [a.strip() for a in arms.split(",") if a.strip()]
    from synthaug.classifiers import check_classifier
    from synthaug.runs import find

    classifier = check_classifier(classifier)
    found = find(run, runs).path if data is None else run
    from synthaug.pipelines.evaluate import evaluate, require_gain

    document = evaluate(
        found,
        test=test,
        synthetic=synthetic,
        data=data,
        target_class=target_class or "auto",
        flags=flags,
        folds=folds,
        classifier=classifier,
        seeds=seeds,
        steps=steps,
        shares=tried,
        arms=chosen,
        mix=mix,
        curve=learning_curve,
        out=out,
        gate=gate,
        checkpoint=checkpoint,
        runs=runs,
        device=device,
        cache=cache,
        jobs=jobs,
        progress=console.progress(),
    )
    console.result(document, render)
    if fail_under is not None:
        require_gain(document, fail_under)


def _only_with_data(given: dict[str, object]) -> None:
    """A run has its own classes and resolution."""
    for option, value in given.items():
        if value is not None:
            raise SynthaugError(
                f"{option} was given without --data", "a run has its own; give --data DATA, or leave it out"
            )


def _unused(context: typer.Context, options: dict[str, str], beside: str) -> None:
    """Refuse options that would have no effect."""
    for name, option in options.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise SynthaugError(f"{option} was given with {beside}", "leave it out")


def _shares(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise SynthaugError(
            f"--shares {text!r} is not a list of numbers", "write it like --shares 0.1,0.25,0.5"
        ) from None
    for value in values:
        if not 0 < value < 1:
            raise SynthaugError(
                f"--shares {text!r}: {value:g} is not between 0 and 1", "write it like --shares 0.1,0.25,0.5"
            )
    return values


def _judged_on(found: EvaluateDocument) -> str:
    if found.folds is None:
        return "test images that no classifier learnt from"
    return f"all images, each by what learnt from other folds only ({found.folds} folds)"


def before_and_after(found: EvaluateDocument) -> list[str]:
    """The real images as they are, the best control, and a synthetic arm: fixed, not the one that test likes best."""
    synthetic = [name for name in ("synthetic+classical", "synthetic") if name in found.arms]
    names = ["real", found.verdict.best_control, *synthetic[:1]]
    return [name for name in dict.fromkeys(names) if name in found.arms]


def render(found: EvaluateDocument) -> None:
    """Draw the arms beside each other, each target's before and after, the verdict, and where the report is."""
    console.table(
        f"{found.classifier}, {found.seeds} seeds, judged on {_judged_on(found)}",
        ["arm", "synthetic", "macro-F1", "95% interval", "balanced accuracy"],
        [
            [
                name,
                f"{arm.share:.0%}" if arm.share else None,
                arm.macro_f1.mean,
                f"{arm.macro_f1.low:.3f} to {arm.macro_f1.high:.3f}",
                arm.balanced_accuracy.mean,
            ]
            for name, arm in found.arms.items()
        ],
    )
    shown = before_and_after(found)
    console.table(
        "target classes, before and after",
        ["class", *(f"{score}, {arm}" for score in ("F1", "recall") for arm in shown)],
        [
            [
                name,
                *(found.arms[arm].per_class[name].f1 for arm in shown),
                *(found.arms[arm].per_class[name].recall for arm in shown),
            ]
            for name in found.targets[:SHOWN]
        ],
    )
    if len(found.targets) > SHOWN:
        console.line(f"{len(found.targets) - SHOWN} more target classes are in the report\n")
    verdict = found.verdict
    for name, contrast in verdict.contrasts.items():
        interval = f"{contrast.mean:+.3f} ({contrast.low:+.3f} to {contrast.high:+.3f})"
        console.line(f"{name:<34} {interval} in mean F1 of the target classes")
    for arm, difference in verdict.against_best.items():
        interval = f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
        console.line(f"{f'{arm} - best control':<34} {interval}: {verdict.best_control}")
    console.line(f"{'smallest effect this could show':<34} {verdict.smallest_detectable:.3f}")
    if verdict.real_image_equivalents:
        console.line(f"{'worth in real images':<34} {verdict.real_image_equivalents}")
    for target in (name for name in found.targets if name in found.recommended):
        advice = found.recommended[target]
        console.line(
            f"{'recommended for ' + target:<34} {advice.synthetic:,} synthetic images ({advice.share:.0%}) beside "
            f"{advice.real:,} real ones: {advice.reason}"
        )
    if found.mix == "all":
        others = sum(advice.synthetic for name, advice in found.recommended.items() if name not in found.targets)
        console.line(f"{'and for all other classes':<34} {others:,} synthetic images")
    for target, said in verdict.per_target.items():
        quality = found.quality.per_class.get(target)
        images = f"; images: diversity {quality.collapse}, copies {quality.memorisation}" if quality else ""
        console.line(f"{target:<34} {said}{images}")
    for text in (*found.warnings, *verdict.caveats):
        console.line(f"note: {text}")
    console.line(f"\nverdict: {verdict.overall}. {verdict.sentence}")
    console.line(f"report:  {found.report}")
