"""Can the default generator do without the lattice of its transposed convolutions? On colour images.

    python tests/studies/upsampling.py --pictures DIR --kimg 60

Trains the default in each of seven ways on signs (make_real.py, whose zip files lie in DIR) and on small colour
drawings (Debian's crossfire-client-images). Prints, for ungated samples of the last checkpoint: the lattice, KID in two
nets, coverage and label agreement of the rare and of all classes. --speed takes turns at steps instead.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gain_sets import ONE_CORE
from generator_judge import COUNT, Judge, Source
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from synthaug import load
from synthaug.config import validate
from synthaug.device import has_bf16
from synthaug.models import build_family, dcgan
from synthaug.models.blocks import ToImage
from synthaug.models.dcgan import DCGANGenerator
from synthaug.models.family import ImageShape
from synthaug.models.inputs import Inputs

STUDIES = Path(__file__).parent
WAY = "STUDY_WAY"  # in the environment of a training
RARE = {"crossfire": ("armour",), "signs": ("speed50", "sign10", "road-work")}


def lattice(images: Tensor) -> float:
    """Power at the frequency of a one-pixel chessboard ÷ the mean power at its 24 neighbours; real images have about 1.

    Args:
        images: [N, C, H, W], of any type and range.
    """
    power = _power(images)
    row, column = (side // 2 for side in power.shape)
    near = power[row - 2 : row + 3, column - 2 : column + 3]
    return float(24 * near[2, 2] / (near.sum() - near[2, 2]))


def alternating(images: Tensor) -> Tensor:
    """Power at the frequency of a one-pixel chessboard, and of horizontal and vertical lines of one pixel, float[3]."""
    power = _power(images)
    row, column = (side // 2 for side in power.shape)
    return torch.stack([power[row, column], power[row, 0], power[0, column]])


def _power(images: Tensor) -> Tensor:
    """Mean power of each frequency, float[H, W]."""
    x = images.float()
    return torch.fft.fft2(x - x.mean(dim=(2, 3), keepdim=True)).abs().square().mean(dim=(0, 1))


class _Smeared(torch.autograd.Function):
    """Each weight of [C, C', h, w] added to 2 × 2 places of [C, C', h + 1, w + 1].

    The gradient is written out: autograd's takes a pass for each of the steps.
    """

    @staticmethod
    def forward(_: Any, weight: Tensor) -> Tensor:
        return _sums_of_four(F.pad(weight, (1, 1, 1, 1)))

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return _sums_of_four(gradient)


def _sums_of_four(x: Tensor) -> Tensor:
    rows = x[:, :, 1:] + x[:, :, :-1]
    return rows[..., 1:] + rows[..., :-1]


class Nearest(nn.ConvTranspose2d):
    """Nearest-neighbour upsampling by two, then a 3 × 3 convolution, as one transposed convolution.

    A transposed convolution with weights of its own for each of the four pixels that come from one shows its lattice in
    the samples (Odena et al. 2016, doi:10.23915/distill.00003). Here the 4 × 4 kernel is a 3 × 3 one smeared over 2 × 2
    pixels, as in the progressive GAN's code (1710.10196), so that all four see the same weights. It costs what the
    transposed convolution costs: four products for a pixel, not nine.

    >>> conv, x = Nearest(2, 3), torch.randn(1, 2, 4, 4)
    >>> plain = F.conv2d(F.interpolate(x, scale_factor=2), conv.weight.transpose(0, 1).flip(2, 3), padding=1)
    >>> torch.allclose(conv(x), plain, atol=1e-5)
    True
    """

    def __init__(self, channels: int, out_channels: int, bias: bool = False) -> None:
        super().__init__(channels, out_channels, 3, stride=2, padding=1, bias=bias)

    def smeared(self) -> Tensor:
        """The kernel of the transposed convolution, float[C, C', 4, 4]."""
        kernel: Tensor = _Smeared.apply(self.weight)
        return kernel

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return F.conv_transpose2d(x, self.smeared(), self.bias, stride=2, padding=1)


class Bilinear(Nearest):
    """Bilinear interpolation, then a 2 × 2 convolution, as one transposed convolution."""

    def __init__(self, channels: int, out_channels: int, bias: bool = False) -> None:
        nn.ConvTranspose2d.__init__(self, channels, out_channels, 2, stride=2, padding=1, bias=bias)

    def smeared(self) -> Tensor:
        weight: Tensor = _Smeared.apply(_Smeared.apply(self.weight))
        return weight / 4


class Head(nn.Sequential):
    """To 16 maps at the size of the image, then a convolution at that size."""

    def __init__(self, channels: int, image_channels: int, bias: bool = True) -> None:
        conv = nn.Conv2d(16, image_channels, 3, padding=1)
        super().__init__(Nearest(channels, 16, bias=bias), nn.LeakyReLU(0.2), conv)


class Notched(ToImage):
    """As it is, without the frequency of a one-pixel chessboard, and little of those near it.

    What is high in rows and in columns, by the filter [−1, 2, −1] / 4 in both, is taken away.
    """

    passes = 1

    def __init__(self, channels: int, image_channels: int, bias: bool = True) -> None:
        assert bias
        super().__init__(channels, image_channels)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        high = images = super().forward(x).float()
        for _ in range(self.passes):
            high = _high(high)
        return images - high


class Notched5(Notched):
    """The same with the filter [1, −4, 6, −4, 1] / 16, which takes less of the neighbours."""

    passes = 2


def _high(x: Tensor) -> Tensor:
    """Filtered by [−1, 2, −1] / 4 along rows and columns; borders are mirrored."""
    x = F.pad(x, (1, 1, 1, 1), mode="reflect")
    x = (2 * x[:, :, 1:-1] - x[:, :, :-2] - x[:, :, 2:]) / 4
    return (2 * x[..., 1:-1] - x[..., :-2] - x[..., 2:]) / 4


class Icnr(nn.ConvTranspose2d):
    """A transposed convolution that begins as `Nearest` (1707.02937)."""

    def __init__(self, channels: int, out_channels: int, bias: bool = False) -> None:
        super().__init__(channels, out_channels, 4, stride=2, padding=1, bias=bias)
        with torch.no_grad():
            begun = Nearest(channels, out_channels).smeared()
            self.weight.copy_(begun * (self.weight.std() / begun.std()))


def in_layers(up: Any, to_image: Any) -> type[DCGANGenerator]:
    """The default's generator with these layers."""

    class Enlarging(DCGANGenerator):
        def __init__(self, shape: ImageShape, *options: int) -> None:
            super().__init__(shape, *options)
            self.ups = nn.ModuleList(up(layer.in_channels, layer.out_channels) for layer in self.ups)
            self.to_image = to_image(self.to_image.in_channels, shape.channels, bias=True)

    return Enlarging


def _default_up(channels: int, out_channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels, out_channels, 4, 2, 1, bias=False)


WAYS: dict[str, type[DCGANGenerator]] = {
    "transposed": DCGANGenerator,
    "nearest": in_layers(Nearest, Nearest),
    "bilinear": in_layers(Bilinear, Bilinear),
    "head": in_layers(Nearest, Head),
    "icnr": in_layers(Icnr, Icnr),
    "notched": in_layers(_default_up, Notched),
    "notched5": in_layers(_default_up, Notched5),
}


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
    dcgan.DCGANGenerator = WAYS[way]  # type: ignore[misc]
    sampler = load(run, checkpoint="last")
    images = {c: sampler.sample(c, COUNT) for c in judge.train.classes if len(judge.real.get(c, ([],))[0]) > 9}
    found = judge.score(images)
    figures = "  ".join(f"{k} {v:.3f}" for k, v in found.items() if k != "classes")
    made, real = (torch.from_numpy(np.concatenate(list(of))) for of in (images.values(), real_images(judge)))
    chessboard, rows, columns = (alternating(made) / alternating(real)).tolist()
    print(f"{way:10}  lattice {lattice(made):.2f}  {figures}")
    print(f"{'':10}  power as in real images: chessboard {chessboard:.2f}, lines {rows:.2f} {columns:.2f}", flush=True)


def real_images(judge: Judge) -> list[NDArray[np.uint8]]:
    return [judge.test.of_class(c) for c in judge.test.classes]


def speed(resolution: int) -> None:
    """Milliseconds for a generator's forward and backward pass at batch 32, in turns, best of ten."""
    config = validate({"data": {"resolution": resolution}, "model": {"family": "dcgan"}})
    found: dict[str, list[float]] = {}
    made = {}
    for way in WAYS:
        dcgan.DCGANGenerator = WAYS[way]  # type: ignore[misc]
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
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
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
        real = lattice(torch.from_numpy(np.concatenate(real_images(judge))))
        print(f"{name}, {a.kimg:g} kimg, seed {a.seed}: real images have a lattice of {real:.2f}")
        for way, run in runs.items():
            score(way, run, judge)


if __name__ == "__main__":
    if sys.argv[1:2] == ["fit"]:
        from synthaug_cli.app import main as synthaug

        dcgan.DCGANGenerator = WAYS[os.environ[WAY]]  # type: ignore[misc]
        synthaug()
    else:
        main()
