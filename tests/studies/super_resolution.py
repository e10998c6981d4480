"""An upscaler on the test images of its run, beside bicubic interpolation: PSNR, SSIM, distances in feature nets.

    python tests/studies/super_resolution.py RUN --features efficientnet_lite0 inception --picture FILE.png

Nothing was chosen on these images. Those that are smaller than what the upscaler makes are left out. The picture has
four rows: reduced, bicubic, the upscaler, real.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from synthaug.data.decode import header_size
from synthaug.data.enlargement import enlargement
from synthaug.data.run_data import RunData
from synthaug.features import load_features
from synthaug.metrics.restoration import psnr, ssim
from synthaug.models.family import to_uint8
from synthaug.progress import Silent
from synthaug.runs import Run
from synthaug.sampling.upscaling import load_upscaler
from synthaug.training.upscaling_monitor import as_float
from synthaug.upscalers.resampling import back_projected, doubled, halved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--features", nargs="+", default=["efficientnet_lite0"])
    parser.add_argument("--count", type=int, default=300, help="the most images")
    parser.add_argument("--picture", type=Path)
    parser.add_argument(
        "--also", nargs="*", type=Path, default=[], help="TorchScript of other tools: [0, 1] to [-1, 1]"
    )
    parser.add_argument("--columns", type=int, default=10)
    given = parser.parse_args()
    upscaler = load_upscaler(Run(given.run))
    data, doublings = RunData.open(upscaler.run), range(upscaler.scale.bit_length() - 1)
    side, fit = upscaler.resolution * upscaler.scale, data.config.data.fit
    rows = [r for r in data.split.of("test") if enlargement(*header_size(data.folder / r.path), fit, side) >= 1]
    rows = rows[:: max(1, len(rows) // given.count)][: given.count]
    real = np.ascontiguousarray(data.load(data.folder, rows, None, Silent(), resolution=side).pixels)
    low = as_float(torch.from_numpy(real))
    for _ in doublings:
        low = halved(low)
    reduced = to_uint8(low)
    bicubic = projected = as_float(torch.from_numpy(reduced))
    for _ in doublings:
        bicubic, projected = doubled(bicubic), back_projected(doubled(projected), projected)
    made = {
        "bicubic": to_uint8(bicubic),
        "bicubic, projected back": to_uint8(projected),
        f"{upscaler.run.name}, {upscaler.checkpoint}": np.stack([upscaler.enlarge(image) for image in reduced]),
    }
    for file in given.also:
        with torch.no_grad():
            other = torch.jit.load(str(file))
            made[file.stem] = to_uint8(
                torch.cat([other(part) for part in torch.from_numpy(reduced / 255).float().split(16)])
            )
    print(f"{len(real)} test images, {upscaler.resolution} to {side} px; {' '.join(given.features)}")
    nets = [load_features(name) for name in given.features]
    of_real = [net(real) for net in nets]
    for name, images in made.items():
        distances = [
            np.linalg.norm(net(images) - there, axis=1).mean() for net, there in zip(nets, of_real, strict=True)
        ]
        shown = "  ".join(f"{distance:.3f}" for distance in distances)
        print(f"{name:40} PSNR {psnr(images, real).mean():.2f}  SSIM {ssim(images, real).mean():.4f}  distance {shown}")
    if given.picture is not None:
        few = slice(0, None, max(1, len(real) // given.columns))
        nearest = reduced.repeat(upscaler.scale, axis=2).repeat(upscaler.scale, axis=3)
        lines = [nearest, made["bicubic"], list(made.values())[2], real]
        page = np.concatenate([np.concatenate(list(line[few][: given.columns]), axis=2) for line in lines], axis=1)
        Image.fromarray(page[0] if len(page) == 1 else page.transpose(1, 2, 0)).save(given.picture)


if __name__ == "__main__":
    main()
