"""Train torch-mimicry's cGAN-PD for 32 px as its documentation sets it up, and write samples of every class on the way.

    pip install --no-deps --target MIMICRY torch-mimicry
    PYTHONPATH=MIMICRY python tests/studies/peer_mimicry.py DATA/train OUT --minutes 10

Its logger wants tensorboard too. Folders, budgets and figures are those of peer_torchgan.py; the budget is looked at
once for each step of the generator. Its networks make colour only, so that grey images are shown in three equal
channels. Images/s are the real ones that the discriminator was shown, five batches for each step of the generator, as
we count our own.
"""

from __future__ import annotations

import importlib
import sys
from unittest.mock import MagicMock

import torch
from peer_torchgan import BATCH, arguments, endless, image_folder, save, train

DISCRIMINATOR_STEPS = 5
SHARES = 1_000_000  # the schedule counts steps, the budget may be a time: it is told the share of the budget as steps


def stub() -> None:
    """Let the package be imported without what its metrics, data sets and pictures want: none of it trains."""
    importlib.import_module("torch.utils.tensorboard")  # wanted by its logger; must not take the stub for TensorFlow
    for name in ("tensorflow", "torch._six", "skimage", "requests", "six", "six.moves"):
        sys.modules.setdefault(name, MagicMock())


def main() -> None:
    a = arguments(__doc__)
    stub()
    from torch_mimicry.nets.cgan_pd.cgan_pd_32 import CGANPDDiscriminator32, CGANPDGenerator32
    from torch_mimicry.training.metric_log import MetricLog
    from torch_mimicry.training.scheduler import LRScheduler

    torch.manual_seed(a.seed)
    data = image_folder(a.train, 3)
    generator, discriminator = CGANPDGenerator32(len(data.classes)), CGANPDDiscriminator32(len(data.classes))
    adam_d, adam_g = (torch.optim.Adam(net.parameters(), 2e-4, betas=(0.0, 0.9)) for net in (discriminator, generator))
    schedule = LRScheduler(lr_decay="linear", optD=adam_d, optG=adam_g, num_steps=SHARES)
    batches, cpu = endless(data), torch.device("cpu")

    # The trainer's own loop knows steps only, and writes no samples by class: its steps are called in its order.
    def step(share: float) -> int:
        log = MetricLog()
        for _ in range(DISCRIMINATOR_STEPS):
            batch = next(batches)
            log = discriminator.train_step(real_batch=batch, netG=generator, optD=adam_d, log_data=log, device=cpu)
        log = generator.train_step(real_batch=batch, netD=discriminator, optG=adam_g, log_data=log, device=cpu)
        schedule.step(log_data=log, global_step=round(share * SHARES))
        return DISCRIMINATOR_STEPS * BATCH

    train(step, a, lambda folder: save(generator, generator.nz, data.classes, folder, a.count))


if __name__ == "__main__":
    main()
