"""Train Lightning Bolts' SRResNet, the first stage of its SRGAN, on the training images of an upscaler of ours.

    pip install --no-deps --target BOLTS lightning-bolts "pytorch-lightning<2" "torchmetrics<1" lightning-utilities \
        "setuptools<80" future fsspec matplotlib
    PYTHONPATH=BOLTS python tests/studies/peer_bolts.py RUN OUT.pt --minutes 8
    python tests/studies/super_resolution.py RUN --also OUT.pt

Its second stage, the SRGAN itself, wants weights of VGG19 that are downloaded; the first one is the better by PSNR.
As its documentation sets it up: 16 blocks of 64 channels, Adam at 1e-4, whole images in batches of 32, reduced by
Pillow's bicubic filter. Minutes are processor time of training alone. OUT.pt maps [0, 1] to [-1, 1].
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler
from torchvision import transforms

from synthaug.data.decode import header_size
from synthaug.data.enlargement import enlargement
from synthaug.data.run_data import RunData
from synthaug.progress import Silent
from synthaug.runs import Run
from synthaug.sampling.upscaling import load_upscaler

BATCH = 32


class Pairs:
    """Training images of the upscaler's run and their reductions, prepared as in its `SRDatasetMixin`."""

    def __init__(self, run: Path) -> None:
        upscaler = load_upscaler(Run(run))
        data, self.low = RunData.open(upscaler.run), upscaler.resolution
        self.scale, side = upscaler.scale, upscaler.resolution * upscaler.scale
        large = [
            r
            for r in data.split.of("train")
            if enlargement(*header_size(data.folder / r.path), data.config.data.fit, side) >= 1
        ]
        self.pixels = data.load(data.folder, large, None, Silent(), resolution=side).pixels
        self.reduce = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.Resize(self.low, transforms.InterpolationMode.BICUBIC),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = torch.from_numpy(self.pixels[index].copy())
        return image.float() / 127.5 - 1, self.reduce(image)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    warnings.simplefilter("ignore")
    from pl_bolts.models.gans.srgan.srresnet_module import SRResNet

    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    pairs = Pairs(a.run)
    model = SRResNet(image_channels=pairs.pixels.shape[1], scale_factor=pairs.scale)
    adam = model.configure_optimizers()
    loader: Any = DataLoader(pairs, BATCH, sampler=RandomSampler(pairs, replacement=True, num_samples=10**9))
    begun, images = time.process_time(), 0
    for batch in loader:
        adam.zero_grad()
        model.training_step(batch, 0).backward()
        adam.step()
        images += BATCH
        if (spent := time.process_time() - begun) >= 60 * a.minutes:
            break
    print(f"{images / 1000:.2f} kimg, {images / spent:.1f} images/s")
    network = model.srresnet.eval()
    torch.jit.save(torch.jit.trace(network, loader.dataset[0][1][None]), str(a.out))


if __name__ == "__main__":
    main()
