"""DAGAN: its discriminator sees pairs, and what it makes depends on source, noise and class."""

from __future__ import annotations

import pytest
import torch
from generator_material import small_options
from torch import Tensor
from translation_material import PER_CLASS, game_of

from synthaug.models import build_family
from synthaug.models.family import ImageShape
from synthaug.models.inputs import Inputs
from synthaug.training.game import Game
from synthaug.training.steps.dagan import dagan_step

PIXELS = torch.randint(256, (2 * PER_CLASS, 3, 16, 16), generator=torch.Generator().manual_seed(0)).byte()


def game(**training: object) -> Game:
    return game_of("dagan", PIXELS, {}, augment=[], **training)


def test_the_discriminator_sees_the_source_beside_a_real_or_a_made_image(monkeypatch: pytest.MonkeyPatch) -> None:
    of, shown, made = game(), [], []
    examine, generate = of.examine, of.generate

    def watched(x: Tensor, labels: Tensor) -> tuple[list[Tensor], Tensor | None]:
        shown.append((x.detach(), labels))
        return examine(x, labels)

    def kept(inputs: Inputs) -> Tensor:
        made.append((inputs, generate(inputs)))
        return made[-1][1]

    monkeypatch.setattr(of, "examine", watched)
    monkeypatch.setattr(of, "generate", kept)
    dagan_step(of, 0, 0)
    (inputs, fake), (pairs, labels) = made[0], shown[0]
    sources = inputs.images
    assert pairs.shape == (16, 6, 16, 16)
    assert torch.equal(pairs[:, :3], torch.cat([sources, sources]))
    assert torch.equal(pairs[8:, 3:], fake.detach())
    real = (pairs[:8, 3:] + 1) * 127.5
    known = {tuple(row) for row in PIXELS.flatten(1).tolist()}
    assert all(tuple(row) in known for row in real.round().int().flatten(1).tolist())
    assert torch.equal(labels, torch.cat([inputs.labels, inputs.labels]))
    assert torch.equal(shown[1][0], torch.cat([sources, fake.detach()], dim=1))  # the generator's turn


def test_the_losses_are_the_objectives_on_these_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    of = game(objective="wasserstein", regularizers={"gradient-penalty": 0.0})
    real, fake = torch.tensor([[1.0]] * 8), torch.tensor([[-2.0]] * 8)
    answers = iter([torch.cat([real, fake]), torch.full((8, 1), 0.5)])
    monkeypatch.setattr(of, "examine", lambda x, labels: ([next(answers) + 0 * x.mean()], None))
    monkeypatch.setattr(of.state.players["discriminator"], "update", lambda loss: None)
    monkeypatch.setattr(of.state.players["generator"], "update", lambda loss: None)
    found = dagan_step(of, 0, 0)
    assert float(found["loss_d"]) == pytest.approx(-3.0)  # E[D(fake)] − E[D(real)]
    assert float(found["loss_g"]) == pytest.approx(-0.5)


def test_the_critic_is_updated_as_often_as_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    of, calls = game(discriminator_steps=5), {"discriminator": 0, "generator": 0}
    for name, player in of.state.players.items():

        def update(loss: Tensor, name: str = name) -> None:
            calls[name] += 1

        monkeypatch.setattr(player, "update", update)
    dagan_step(of, 0, 0)
    assert calls == {"discriminator": 5, "generator": 1}


def test_the_gradient_penalty_acts_on_pairs() -> None:
    found = dagan_step(game(objective="wasserstein"), 0, 0)
    assert float(found["gradient-penalty"]) > 0


def test_an_image_alone_is_taken_as_a_pair_with_itself() -> None:
    torch.manual_seed(0)
    discriminator = build_family("dagan", ImageShape(16, 3, 2), small_options("dagan")).discriminator.eval()
    x, y = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 0, 1, 1])
    alone, pair = discriminator(x, y), discriminator(torch.cat([x, x], dim=1), y)
    assert all(torch.equal(a, b) for a, b in zip(alone, pair, strict=True))
