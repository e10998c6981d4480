"""Which family, which objective, and how far ahead of other tools? At equal time, on one core each.

    make study-generators ARGS="--jobs 2"

Stage 1: each family as its recipe sets it up. Stage 2: the default recipe with each objective. Stage 3: the families
named by --best, and the peers, longer, on both sets of images, with each seed. Stage 4: one part each beside the
default recipe: a loss, a penalty, a way of conditioning, an augmentation. A trial trains through `synthaug fit`
(a peer through its wrapper), then the judge scores ungated samples. What is finished stands in --out and is not
repeated; the table and the plot in docs/science/generators.* are made anew each time.

Needs Debian's dataset-fashion-mnist and crossfire-client-images; the peers need torchgan, and torch-mimicry and the
prototype where they are asked for by --mimicry and --prototype.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from generator_judge import COUNT, Judge, Source
from generator_tables import write
from safetensors import safe_open
from tables import keep, kept

from synthaug import load
from synthaug.grid import grid
from synthaug.runs import Run

STUDIES = Path(__file__).parent
FAMILIES = (
    "mlp", "default", "biggan", "fastgan", "stylegan2", "lapgan", "progressive", "r3gan", "projected",
    "wgan", "acgan", "infogan",
)  # fmt: skip
OBJECTIVES = {
    "minimax": [],
    "non-saturating": [],
    "least-squares": [],
    "hinge": [],
    "wasserstein": [
        "model.spectral_norm=false", "training.discriminator_steps=5", "training.discriminator_lr=0.0001",
        "training.generator_lr=0.0001", "training.beta2=0.9",
    ],
    "wasserstein, spectral norm": ["training.discriminator_steps=3", "training.discriminator_lr=0.0002"],
    "relativistic": [],
    # R1 and R2 at once on every fourth step: what the two cost otherwise is a third of the images
    "relativistic, lazy": ["training.regularizers={r1: 1.0, r2: 1.0}", "training.regularizer_interval=4"],
}  # fmt: skip
BARE = "no augmentation"
FROM, EARLIER = "finetune", "fashion-common"  # the recipe that goes on from a run on the common classes alone
PARTS = {
    "default": [],
    BARE: ["training.augment=[]"],
    "minimax": ["training.objective=minimax"],
    "non-saturating": ["training.objective=non-saturating"],
    "least-squares": ["training.objective=least-squares"],
    "relativistic": [
        "training.objective=relativistic", "training.regularizers={r1: 1.0, r2: 1.0}",
        "training.regularizer_interval=4",
    ],
    "label-smoothing": ["training.objective=non-saturating", "training.label_smoothing=0.1"],
    "consistency": ["training.regularizers={consistency: 10.0}"],
    "lecam": ["training.regularizers={lecam: 0.3}"],
    "conditional-spectral": ["training.regularizers={conditional-spectral: 0.1}"],
    "mode-seeking": ["training.regularizers={mode-seeking: 0.1}"],
    "ada": ["training.ada=true", "training.ada_kimg=50"],
    "diffaugment": ["training.augment=[color, translation, cutout]"],
    "fade-in": ["training.fade_start=0.1", "training.fade_end=0.4"],
    "embedding-noise": ["training.embedding_noise=0.75"],
}  # fmt: skip
RARE = ("Shirt", "Pullover", "Ankle-boot")
COMMON = ("T-shirt-top", "Trouser", "Dress", "Coat", "Sandal", "Sneaker", "Bag")
ONE_CORE = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
FINISHED = "finished"
IMAGES = STUDIES.parents[1] / "docs/images"
GRIDS = {1: "families", 4: "parts"}  # stage → folder of IMAGES
PEERS = ("torchgan", "mimicry", "prototype")


@dataclass(frozen=True)
class Trial:
    stage: int
    name: str  # of a recipe, an objective on the default recipe (stage 2), a part or a peer
    data: str
    seed: int
    minutes: float

    @property
    def key(self) -> str:
        return f"{self.stage}-{re.sub('[^a-z0-9]+', '-', self.name)}-{self.data}-{self.seed}-{self.minutes:g}min"

    def settings(self) -> tuple[str, list[str]]:
        """The recipe and its `--set` values."""
        if self.stage == 2:
            objective = self.name.split(",")[0]
            return "default", [f"training.objective={objective}", *OBJECTIVES[self.name]]
        return ("default", PARTS[self.name]) if self.name in PARTS else (self.name, [])


def trials(a: argparse.Namespace) -> list[Trial]:
    found = []
    if 1 in a.stages:
        found += [Trial(1, name, "fashion", 0, a.minutes) for name in FAMILIES]
    if 2 in a.stages:
        found += [
            Trial(2, name, "fashion", seed, a.minutes) for seed in range(a.objective_seeds) for name in OBJECTIVES
        ]
    if 3 in a.stages:
        peers = [p for p in PEERS if p == "torchgan" or getattr(a, p)]
        found += [
            Trial(3, name, data, seed, a.long)
            for seed in range(a.seeds)
            for data in ("fashion", "crossfire")
            for name in (*a.best, *peers)
        ]
    if 4 in a.stages:
        found += [Trial(4, name, "fashion", seed, a.minutes) for seed in range(a.part_seeds) for name in (*PARTS, FROM)]
    return [t for t in found if t.data in a.data and (not a.only or t.name in a.only)]


def folders(work: Path) -> dict[str, Source]:
    """The images of both sets, made once: three rare classes of 25 beside 300, and armour of 12 beside 90."""
    wanted = {
        "fashion": ["fashion", *(f"--rare={c}=25" for c in RARE), "--head=300", "--test=500"],
        EARLIER: ["fashion", f"--classes={','.join(COMMON)}", "--head=300", "--test=500"],
        "fashion-oracle": ["fashion", "--head=3000", "--test=500", "--seed=7"],
        "crossfire": ["crossfire", "--rare=armour=12", "--head=90", "--test=100"],
        "crossfire-oracle": ["crossfire", "--natural"],
    }
    for name, (source, *arguments) in wanted.items():
        if not (work / name).exists():
            make = [sys.executable, str(STUDIES / "make_folders.py"), source, str(work / name), *arguments]
            subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    return {
        EARLIER: Source(work / EARLIER, work / "fashion-oracle/train", COMMON, 1, "none"),
        "fashion": Source(work / "fashion", work / "fashion-oracle/train", RARE, 1, "none"),
        "crossfire": Source(work / "crossfire", work / "crossfire-oracle", ("armour",), 3, "classical"),
    }


def train(trial: Trial, source: Source, out: Path, a: argparse.Namespace) -> None:
    """One training on one core, its output in OUT.log."""
    if trial.name in PEERS:
        script = a.prototype if trial.name == "prototype" else STUDIES / f"peer_{trial.name}.py"
        command = [sys.executable, str(script), str(source.folder / "train"), str(out), f"--seed={trial.seed}"]
        if trial.name == "prototype":  # it counts images, so its rate on this core is measured first
            command += [f"--kimg={trial.minutes * 60 * _rate(command, out) / 1000:g}", f"--count={COUNT}"]
        else:
            command += [f"--minutes={trial.minutes:g}", f"--channels={source.channels}", f"--count={COUNT}"]
    else:
        recipe, sets = trial.settings()
        sets = [*sets, "data.resolution=32", f"data.channels={source.channels}", "data.fit=pad"]
        sets += ["monitor.samples_per_class=30", "monitor.features=efficientnet_lite0", "training.keep_checkpoints=100"]
        command = [str(Path(sys.executable).with_name("synthaug")), "fit", str(source.folder / "train")]
        command += [f"--target-class={c}" for c in source.rare]
        command += ["--recipe", recipe, f"--budget={trial.minutes:g}min", f"--seed={trial.seed}", f"--runs={out}"]
        command += [f"--set={s}" for s in sets]
        if trial.name == FROM:
            command += ["--from", str(out.with_name(f"{out.name}-earlier") / "latest")]
    environment = dict(ONE_CORE)
    if trial.name == "mimicry":
        environment["PYTHONPATH"] = os.pathsep.join([str(a.mimicry), environment.get("PYTHONPATH", "")])
    with out.with_suffix(".log").open("w") as log:
        subprocess.run(command, check=True, env=environment, stdout=log, stderr=subprocess.STDOUT)
    (out / FINISHED).touch()


def _rate(command: Sequence[str], out: Path) -> float:
    """Images a second, from the time that 4,000 take beyond 1,000."""
    took = []
    for kimg in (1, 4):
        begun = time.monotonic()
        short = [*command[:3], f"{out}-pace", f"--kimg={kimg}", "--count=1"]
        subprocess.run(short, check=True, env=ONE_CORE, stdout=subprocess.DEVNULL)
        took.append(time.monotonic() - begun)
    return 3000 / (took[1] - took[0])


def scores(trial: Trial, source: Source, judge: Judge, out: Path) -> list[dict[str, Any]]:
    """What a trial left on its way (of the rare classes only) and at its end: kimg, and the judge's figures."""
    stages = _stages(trial, out)
    rows = []
    for name in stages:
        last = name == stages[-1]
        classes = judge.train.classes if last else list(source.rare)
        if trial.name in PEERS:
            folder = judge.pixels(out / name)
            images = {c: folder.of_class(c) for c in classes}
        else:
            sampler = load(out / "latest", checkpoint=name)
            images = {c: sampler.sample(c, COUNT) for c in classes}
        rows.append({"kimg": _kimg(name), **judge.score(images, verdicts=last)})
        if last and trial.stage in GRIDS and trial.seed == 0:
            shown = [*source.rare, *[c for c in classes if c not in source.rare][:2]]
            file = IMAGES / GRIDS[trial.stage] / f"{trial.name.replace(' ', '-')}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            grid([images[c][:12] for c in shown], 12).save(file)
    return rows


def _stages(trial: Trial, out: Path) -> list[str]:
    """Checkpoints, or folders of samples: the last, and about one each 20 kimg."""
    if trial.name == "prototype":
        return ["."]
    where = out if trial.name in PEERS else out / "latest/checkpoints"
    names = sorted(p.name for p in where.iterdir() if _kimg(p.name) is not None)
    end = _kimg(names[-1]) or 0
    chosen = {min(names, key=lambda n: abs((_kimg(n) or 0) - k)) for k in (20, 40, 80, 160) if k < end}
    return [*sorted(chosen - {names[-1]}), names[-1]]


def _kimg(name: str) -> int | None:
    digits = re.search(r"kimg(\d+)", name)
    return int(digits[1]) if digits else None


def parameters(out: Path) -> dict[str, Any]:
    """Size and speed, from what the run says of itself; nothing for a peer."""
    if not (out / "latest").exists():
        return {}
    run = Run((out / "latest").resolve())
    rates = [row["images_per_second"] for row in run.metrics() if row["kind"] == "step"]
    last = sorted(run.checkpoints.iterdir())[-1]
    with safe_open(last / "generator.safetensors", "pt") as file:
        sizes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118
    count = sum(math.prod(size) for size in sizes)
    return {"images_per_second": sorted(rates)[len(rates) // 2], "generator_parameters": count}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/generators.jsonl"))
    parser.add_argument("--work", type=Path, default=Path("build/generators"))
    parser.add_argument("--stages", type=lambda text: [int(s) for s in text.split(",")], default=[1, 2, 3, 4])
    parser.add_argument("--minutes", type=float, default=5.0, help="a trial of stages 1, 2 and 4")
    parser.add_argument("--long", type=float, default=15.0, help="a trial of stage 3")
    parser.add_argument("--objective-seeds", type=int, default=1, help="of stage 2")
    parser.add_argument("--part-seeds", type=int, default=1, help="of stage 4")
    parser.add_argument("--seeds", type=int, default=2, help="of stage 3")
    parser.add_argument("--best", nargs="*", default=["default"], help="recipes that go into stage 3")
    parser.add_argument("--only", nargs="*", default=[], help="trials of these names alone")
    parser.add_argument("--data", nargs="*", default=["fashion", "crossfire"], help="sets of images")
    parser.add_argument("--jobs", type=int, default=1, help="trials at once, one core each")
    parser.add_argument("--mimicry", type=Path, help="where torch-mimicry is installed (pip install --target)")
    parser.add_argument("--prototype", type=Path, help="a script TRAIN OUT --kimg N --count N --seed N")
    a = parser.parse_args(arguments)
    a.work.mkdir(parents=True, exist_ok=True)
    a.out.parent.mkdir(parents=True, exist_ok=True)
    sources = folders(a.work.resolve())
    done = {row["key"] for row in kept(a.out)}
    left = [t for t in trials(a) if t.key not in done]
    print(f"{len(left)} trials to do, {len(done)} done", flush=True)

    def trained(trial: Trial) -> None:
        out, begun = a.work.resolve() / trial.key, time.monotonic()
        if (out / FINISHED).exists():
            return
        shutil.rmtree(out, ignore_errors=True)
        if trial.name == FROM:
            earlier = out.with_name(f"{out.name}-earlier")
            shutil.rmtree(earlier, ignore_errors=True)
            train(replace(trial, name="default"), sources[EARLIER], earlier, a)
        train(trial, sources[trial.data], out, a)
        print(f"{trial.key}: trained in {time.monotonic() - begun:.0f} s", flush=True)

    with ThreadPoolExecutor(a.jobs) as pool:  # each is a process of its own; judging waits, so as not to slow them
        list(pool.map(trained, left))
    judges: dict[str, Judge] = {}
    for trial in left:
        judge = judges[trial.data] = judges.get(trial.data) or Judge(sources[trial.data])
        out = a.work.resolve() / trial.key
        row = {"key": trial.key, **asdict(trial), **parameters(out)}
        row["curve"] = scores(trial, sources[trial.data], judge, out)
        keep(a.out, row)
        print(trial.key, {k: v for k, v in row["curve"][-1].items() if k != "classes"}, flush=True)
    write(kept(a.out))


if __name__ == "__main__":
    main()
