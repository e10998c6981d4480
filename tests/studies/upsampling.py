"""The lattice of the default generator: transposed convolutions against enlarging and convolving, on colour images.

    python tests/studies/upsampling.py --pictures DIR --kimg 60

Trains the default with both on signs (make_real.py, whose zip files lie in DIR) and on small colour drawings (Debian's
crossfire-client-images) and prints, for ungated samples of the last checkpoint: the lattice (tests/lattice.py), and KID
in two nets, coverage and label agreement of the rare and of all classes. --speed takes turns at steps instead.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gain_sets import ONE_CORE
from generator_judge import COUNT, Judge, Source
from numpy.typing import NDArray
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parents[1]))  # tests/
from lattice import Transposed, lattice

from synthaug import load
from synthaug.config import validate
from synthaug.device import has_bf16
from synthaug.models import build_family, dcgan
from synthaug.models.blocks import UpConv
from synthaug.models.family import ImageShape
from synthaug.models.inputs import Inputs

STUDIES = Path(__file__).parent
WAYS = ("transposed", "nearest", "bilinear", "head", "icnr")
WAY = "STUDY_WAY"  # in the environment of a training
RARE = {"crossfire": ("armour",), "signs": ("speed50", "sign10", "road-work")}
USUAL = dcgan.UpConv, dcgan.ToImage


class Bilinear(Transposed):
    """Bilinear interpolation, then a 2 × 2 convolution, as one transposed convolution."""

    def __init__(self, channels: int, out_channels: int, bias: bool = False) -> None:
        nn.ConvTranspose2d.__init__(self, channels, out_channels, 2, stride=2, padding=1, bias=bias)

    def smeared(self) -> Tensor:
        weight = self.weight
        for _ in range(2):
            wide = nn.functional.pad(weight, (1, 1, 1, 1))
            rows = wide[:, :, 1:] + wide[:, :, :-1]
            weight = (rows[..., 1:] + rows[..., :-1]) / 2
        return weight


def head(channels: int, image_channels: int) -> nn.Module:
    up, conv = UpConv(channels, 16, bias=True), nn.Conv2d(16, image_channels, 3, padding=1)
    return nn.Sequential(up, nn.LeakyReLU(0.2), conv)


def use(way: str) -> None:
    """Build the default's generator with that way to enlarge, in this process."""
    layers: dict[str, Any] = {"transposed": Transposed, "icnr": Transposed, "bilinear": Bilinear}
    up, to_image = USUAL
    if way == "head":
        to_image = head
    elif way in layers:
        up, to_image = layers[way], lambda a, b: layers[way](a, b, bias=True)
    dcgan.UpConv, dcgan.ToImage = up, to_image  # type: ignore[misc]


def source(name: str, work: Path, pictures: Path) -> Source:
    """The set's training images, held-out ones, and real ones for the judges; made once."""
    make = {
        "crossfire": [["make_folders.py", "crossfire", name, "--rare=armour=12", "--head=90", "--test=100"],
                      ["make_folders.py", "crossfire", f"{name}-oracle", "--natural"]],
        "signs": [["make_real.py", "signs", name, f"--from={pictures}", "--size=32", "--parts=test=0.35,oracle=0.25",
                   *(f"--rare={c}=25" for c in RARE["signs"])]],
    }[name]  # fmt: skip
    for script, kind, out, *flags in make:
        if not (work / out).exists():
            command = [sys.executable, str(STUDIES / script), kind, str(work / out), *flags]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    oracle = work / ("signs/oracle" if name == "signs" else "crossfire-oracle")
    return Source(work / name, oracle, RARE[name], 3, "classical")


def trained(way: str, name: str, of: Source, a: argparse.Namespace) -> Path:
    """The run, trained unless it was."""
    runs = a.work / f"{way}-{name}-{a.kimg:g}kimg-{a.seed}"
    status = runs / "latest/status.json"
    if not status.exists() or json.loads(status.read_text())["state"] != "finished":
        command = [sys.executable, __file__, "fit", str(of.folder / "train"), "--recipe=default", f"--runs={runs}"]
        command += [f"--budget={a.kimg:g}kimg", f"--seed={a.seed}", "--set=data.channels=3", "--set=data.fit=pad"]
        command += ["--resume=auto", *(f"--target-class={c}" for c in of.rare)]
        subprocess.run(command, check=True, env={**ONE_CORE, WAY: way}, stdout=subprocess.DEVNULL)
    return runs / "latest"


def score(way: str, run: Path, judge: Judge) -> None:
    use(way)
    sampler = load(run, checkpoint="last")
    images = {c: sampler.sample(c, COUNT) for c in judge.train.classes if len(judge.real.get(c, ([],))[0]) > 9}
    found = judge.score(images)
    figures = "  ".join(f"{k} {v:.3f}" for k, v in found.items() if k != "classes")
    print(f"{way:10}  lattice {mean_lattice(images.values()):.2f}  {figures}", flush=True)


def mean_lattice(images: Iterable[NDArray[np.uint8]]) -> float:
    return lattice(torch.from_numpy(np.concatenate(list(images))))


def speed(resolution: int) -> None:
    """Milliseconds for a generator's forward and backward pass at batch 32, in turns, best of ten."""
    config = validate({"data": {"resolution": resolution}, "model": {"family": "dcgan"}})
    found: dict[str, list[float]] = {}
    made = {}
    for way in WAYS:
        use(way)
        generator = build_family("dcgan", ImageShape(resolution, 3, classes=4), config.model).generator
        made[way] = generator.to(memory_format=torch.channels_last)  # as in training
    for _ in range(10):
        for way, generator in made.items():
            inputs = Inputs(torch.arange(32) % 4, torch.randn(32, generator.z_dim))
            begun = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16(torch.device("cpu"))):
                generator(inputs).square().mean().backward()
            found.setdefault(way, []).append((time.perf_counter() - begun) * 1000)
    print(f"{resolution} px:", "  ".join(f"{way} {min(times):.1f} ms" for way, times in found.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="where signs.zip lies")
    parser.add_argument("--work", type=Path, default=Path("build/upsampling"))
    parser.add_argument("--sets", nargs="*", choices=list(RARE), default=list(RARE))
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=WAYS)
    parser.add_argument("--kimg", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--speed", action="store_true")
    a = parser.parse_args()
    torch.set_num_threads(1)
    if a.speed:
        for resolution in (32, 64):
            speed(resolution)
        return
    for name in a.sets:
        of = source(name, a.work, a.pictures)
        runs = {way: trained(way, name, of, a) for way in a.ways}
        judge = Judge(of)
        real = mean_lattice(judge.test.of_class(c) for c in judge.test.classes)
        print(f"{name}, {a.kimg:g} kimg, seed {a.seed}: real images have a lattice of {real:.2f}")
        for way, run in runs.items():
            score(way, run, judge)


if __name__ == "__main__":
    if sys.argv[1:2] == ["fit"]:
        from synthaug_cli.app import main as synthaug

        use(os.environ[WAY])
        synthaug()
    else:
        main()
