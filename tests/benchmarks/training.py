"""Training: the same layers in our loop, in the PyTorch DCGAN example's, and in torchgan's trainer."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch
from compare import Row, compare, readable, seconds
from lightning_fabric import Fabric
from material import read_images
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms
from torchvision.datasets import ImageFolder

from synthaug.config import Config, ModelConfig, TrainingConfig
from synthaug.data.batches import BalancedBatches, class_probabilities
from synthaug.device import has_bf16
from synthaug.models.family import Discriminator, Family, Generator
from synthaug.models.inputs import Inputs
from synthaug.training.game import Game, build_game
from synthaug.training.steps.adversarial import adversarial_step

BATCH = 64
STEPS = 24


class ExampleGenerator(nn.Sequential):
    """The layers of pytorch/examples/dcgan for 32 px: one octave less than its 64 px, everything else as there."""

    def __init__(self, nz: int = 100, ngf: int = 64, nc: int = 3) -> None:
        super().__init__(
            nn.ConvTranspose2d(nz, ngf * 4, 4, 1, 0, bias=False),
            nn.BatchNorm2d(ngf * 4),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 4, ngf * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ngf * 2),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ngf),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False),
            nn.Tanh(),
        )
        self.nz = nz


class ExampleDiscriminator(nn.Sequential):
    def __init__(self, nc: int = 3, ndf: int = 64) -> None:
        super().__init__(
            nn.Conv2d(nc, ndf, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ndf * 2),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf * 2, ndf * 4, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ndf * 4),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf * 4, 1, 4, 1, 0, bias=False),
        )


class _OurGenerator(Generator):
    """Foreign layers behind our contract; the class is not used, as it is not in the peers."""

    def __init__(self, layers: nn.Module, z_dim: int) -> None:
        super().__init__()
        self.foreign, self.z_dim = layers, z_dim

    def forward(self, inputs: Inputs) -> Tensor:
        images: Tensor = self.foreign(inputs.noise[:, :, None, None])
        return images.float()


class _OurDiscriminator(Discriminator):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.foreign = layers

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        return [self.foreign(x).float().view(-1, 1)]


def loader(folder: Path, workers: int = 2) -> DataLoader[tuple[Tensor, Tensor]]:
    """As the example reads."""
    steps = [transforms.Resize(32), transforms.CenterCrop(32), transforms.ToTensor()]
    dataset = ImageFolder(str(folder), transforms.Compose([*steps, transforms.Normalize((0.5,) * 3, (0.5,) * 3)]))
    return DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=workers, drop_last=True)


def endless(folder: Path) -> Iterator[Tensor]:
    while True:
        for images, _ in loader(folder):
            yield images


def our_game(folder: Path, generator: nn.Module, z_dim: int, discriminator: nn.Module, cache: Path) -> Game:
    images = read_images(folder, cache)
    probabilities = class_probabilities([1] * len(images.classes), balance=1.0)
    batches = BalancedBatches(
        torch.from_numpy(images.pixels), torch.from_numpy(images.labels), probabilities, BATCH, flip=False
    )
    training = TrainingConfig(
        batch_size=BATCH, objective="non-saturating", regularizers={"r1": 0.0}, augment=[], beta1=0.5, beta2=0.999
    )
    family = Family.pair(_OurGenerator(generator, z_dim), _OurDiscriminator(discriminator))
    device, precision = here()
    fabric = Fabric(accelerator=device.type, devices=1, precision=precision)
    family.generator.train()
    family.discriminator.train()
    return build_game(Config(training=training, model=ModelConfig(z_dim=z_dim)), family, batches, fabric)


def here() -> tuple[torch.device, Literal["bf16-mixed", "32-true"]]:
    """The device, and the precision that `--precision auto` has on it."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return device, "bf16-mixed" if has_bf16(device) else "32-true"


def our_steps(game: Game, steps: int = STEPS) -> None:
    for step in range(steps):
        adversarial_step(game, step, seed=0)
        game.state.average.update(game.family.generator, (step + 1) * BATCH, BATCH)


def example_loop(folder: Path, steps: int = STEPS):  # type: ignore[no-untyped-def]
    """pytorch/examples/dcgan/main.py: fp32, contiguous, real and fake apart, Adam(2e-4, (.5, .999))."""
    generator, discriminator = ExampleGenerator(), ExampleDiscriminator()
    criterion = nn.BCEWithLogitsLoss()
    adam_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    adam_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    source = endless(folder)
    ones, zeros = torch.ones(BATCH), torch.zeros(BATCH)

    def run() -> None:
        for _ in range(steps):
            real = next(source)
            discriminator.zero_grad()
            criterion(discriminator(real).view(-1), ones).backward()
            fake = generator(torch.randn(BATCH, generator.nz, 1, 1))
            criterion(discriminator(fake.detach()).view(-1), zeros).backward()
            adam_d.step()
            generator.zero_grad()
            loss = criterion(discriminator(fake).view(-1), ones)
            loss.backward()
            adam_g.step()
            loss.item()

    return run


def torchgan_loop(folder: Path, scratch: Path, steps: int = STEPS):  # type: ignore[no-untyped-def]
    """torchgan's Trainer, as its README sets it up; its images at an epoch's end need an older torchvision."""
    os.environ.update(TENSORBOARD_LOGGING="0", CONSOLE_LOGGING="0", VISDOM_LOGGING="0")
    from torch.utils.data import Subset
    from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss
    from torchgan.models import DCGANDiscriminator, DCGANGenerator
    from torchgan.trainer import Trainer

    adam = {"name": torch.optim.Adam, "args": {"lr": 2e-4, "betas": (0.5, 0.999)}}
    trainer = Trainer(
        {
            "generator": {"name": DCGANGenerator, "args": {"out_size": 32}, "optimizer": adam},
            "discriminator": {"name": DCGANDiscriminator, "args": {"in_size": 32}, "optimizer": adam},
        },
        [MinimaxGeneratorLoss(), MinimaxDiscriminatorLoss()],
        device=torch.device("cpu"),
        epochs=1,
        sample_size=BATCH,
        checkpoints=str(scratch / "torchgan" / "gan"),
        recon=str(scratch / "torchgan"),
    )
    dataset = Subset(loader(folder).dataset, range(steps * BATCH))
    batches = DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=2)

    def run() -> None:
        trainer.batch_size = BATCH
        for trainer.real_inputs, trainer.labels in batches:
            trainer.train_iter()

    return run


def compiled(game: Game, eager: Game) -> str:
    """What `training.compile` costs and gives; `synthaug.training.compilation` holds the figures for `auto`."""
    game.family.generator.compile()
    game.family.discriminator.compile()
    try:
        first = seconds(lambda: our_steps(game, 2))
    except Exception as error:  # no C++ compiler, for one
        return f"torch.compile does not work here: {str(error).splitlines()[0]}"
    pairs = [(seconds(lambda: our_steps(game)), seconds(lambda: our_steps(eager))) for _ in range(3)]
    return f"torch.compile takes {first:.0f} s, then {statistics.median(b / a for a, b in pairs):.2f} × the speed"


def matmul_peak(n: int = 2048) -> float:
    """GFLOP/s of a large matrix product on this machine, in the type that convolutions have here."""
    kind = torch.bfloat16 if here()[1] == "bf16-mixed" else torch.float32
    a, b = torch.randn(n, n, dtype=kind), torch.randn(n, n, dtype=kind)
    a @ b
    return 2 * n**3 / min(seconds(lambda: a @ b) for _ in range(5)) / 1e9


def rows(scratch: Path) -> Iterator[Row]:
    from material import write_images

    folder, cache = write_images(scratch / "training", count=4000), scratch / "cache"
    example = our_game(folder, ExampleGenerator(), 100, ExampleDiscriminator(), cache)
    with FlopCounterMode(display=False) as counter:
        adversarial_step(example, 0, seed=0)
    flops = counter.get_total_flops()
    peak, precision = matmul_peak(), here()[1]
    row = compare(
        f"training, DCGAN 32 px, batch {BATCH}, reading included",
        "the PyTorch DCGAN example's loop, same layers",
        1.7 if precision == "bf16-mixed" else 1.3,
        lambda: our_steps(example),
        example_loop(folder),
        amount=STEPS * BATCH,
        unit="images",
    )
    per_step = min(seconds(lambda: our_steps(example, 8)) / 8 for _ in range(3))
    reading = min(seconds(lambda: [example.batches.draw(torch.Generator()) for _ in range(50)]) / 50 for _ in range(3))
    row.notes.append(
        f"a step is {flops / 1e9:.1f} GFLOP of convolutions: {readable(flops / per_step / 1e9)} GFLOP/s, "
        f"{flops / per_step / 1e9 / peak:.0%} of the {readable(peak)} GFLOP/s of a 2048³ product here, {precision}"
    )
    row.notes.append(f"drawing a batch takes {reading / per_step:.1%} of a step (target: under 2%)")
    row.notes.append(compiled(our_game(folder, ExampleGenerator(), 100, ExampleDiscriminator(), cache), example))
    yield row

    from torchgan.models import DCGANDiscriminator, DCGANGenerator

    foreign = our_game(folder, _Flat(DCGANGenerator(out_size=32)), 100, DCGANDiscriminator(in_size=32), cache)
    yield compare(
        f"training, torchgan's DCGAN, batch {BATCH}",
        "torchgan's Trainer, same modules",
        1.7,
        lambda: our_steps(foreign),
        torchgan_loop(folder, scratch),
        amount=STEPS * BATCH,
        unit="images",
    )


class _Flat(nn.Module):
    """torchgan's generators take z as [B, z_dim]."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.module(z.flatten(1))
        return images
