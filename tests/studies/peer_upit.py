"""Train UPIT's CycleGAN as its documentation sets it up, from common classes to a rare one, and translate their images.

    pip install --no-deps --target UPIT upit fastai fastcore "fastprogress<1.1" fasttransform "plum-dispatch<2.10" \
        beartype fastdownload cloudpickle matplotlib contourpy cycler kiwisolver pyparsing fonttools python-dateutil \
        six requests urllib3 idna certifi charset-normalizer
    PYTHONPATH=UPIT python tests/studies/peer_upit.py DATA/train OUT --target Shirt --sources Coat,Dress --minutes 6

OUT/Shirt/*.png: each source image once, a folder that rare_class_quality.py scores as it scores a run of ours. Minutes
are processor time of training alone. The learning rate is flat for the first half, as in `fit_flat_lin`. spaCy and
`datasets` are wanted at the import only; a stub stands for them. Images/s are those of one side.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from PIL import Image

SIZE, BATCH, RATE = 32, 4, 2e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--target", required=True)
    parser.add_argument("--sources", required=True, help="comma-separated")
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--width", type=int, default=64, help="channels at full size; theirs is 64")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    torch.set_num_threads(1)
    for name in ("spacy", "datasets"):
        sys.modules.setdefault(name, MagicMock())
    from fastai.optimizer import Adam
    from fastai.torch_core import set_seed
    from upit.data.unpaired import get_dls
    from upit.models.cyclegan import CycleGAN
    from upit.train.cyclegan import cycle_learner

    set_seed(a.seed)
    with tempfile.TemporaryDirectory() as scratch:
        sides = [Path(scratch) / side for side in ("sources", "target")]
        for side, classes in zip(sides, (a.sources.split(","), [a.target]), strict=True):
            side.mkdir()
            for name in classes:
                for file in sorted((a.train / name).iterdir()):
                    shutil.copy(file, side / f"{name}-{file.name}")
        data = get_dls(*sides, load_size=SIZE, crop_size=SIZE, bs=BATCH, num_workers=0)
        model = CycleGAN(3, 3, a.width)
        adam = partial(Adam, mom=0.5, sqr_mom=0.999)
        learner = cycle_learner(data, model, opt_func=adam, show_imgs=False, lr=RATE, cbs=[budget(60 * a.minutes)])
        learner.fit(10**6)
        _translate(model.G_B, sorted(sides[0].iterdir()), a.out / a.target)


def budget(seconds: float) -> Any:
    """A callback that ends the training, and lowers the learning rate over its second half."""
    from fastai.callback.core import Callback, CancelFitException

    class Budget(Callback):  # type: ignore[misc]
        begun, images = 0.0, 0

        def before_fit(self) -> None:
            self.begun = time.process_time()

        def before_batch(self) -> None:
            self.learn.opt.set_hyper("lr", RATE * min(1.0, 2 - 2 * self.spent / seconds))

        def after_batch(self) -> None:
            self.images += BATCH
            if self.spent >= seconds:
                print(f"{self.images / 1000:.2f} kimg, {self.images / self.spent:.1f} images/s", flush=True)
                raise CancelFitException

        @property
        def spent(self) -> float:
            return time.process_time() - self.begun

    return Budget()


@torch.no_grad()
def _translate(generator: torch.nn.Module, files: list[Path], out: Path) -> None:
    """`generator` makes an image of the target class from an image of a source class, [-1, 1]."""
    out.mkdir(parents=True, exist_ok=True)
    generator.eval()
    for file in files:
        pixels = np.asarray(Image.open(file).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))
        image = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
        made = ((generator(image)[0] + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0)
        Image.fromarray(made.numpy()).save(out / f"{file.stem}.png")


if __name__ == "__main__":
    main()
