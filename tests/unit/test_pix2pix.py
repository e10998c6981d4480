"""pix2pix: its loss worked out by hand, and what its discriminator sees."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from translation_material import PER_CLASS, Affine, game_of

from synthaug.training.game import Game
from synthaug.training.state import Player
from synthaug.training.steps.pix2pix import pix2pix_step
from synthaug.translators.options import EDGES, Pix2PixOptions

PIXELS = torch.randint(256, (2 * PER_CLASS, 3, 16, 16), generator=torch.Generator().manual_seed(0)).byte()


def game(maps: Tensor, l1: float = 100.0, **training: object) -> Game:
    """A game on noise, with these maps of it."""
    made = game_of("pix2pix", PIXELS, {"l1": l1}, augment=[], **training)
    assert made.sources is not None
    made.sources = replace(made.sources, pixels=maps.numpy())
    return made


def negatives() -> Game:
    """A game whose maps are the negatives of the images: each pair tells whether it is one."""
    return game(255 - PIXELS, flip=True)


@pytest.mark.parametrize("l1", [0.0, 100.0])
def test_the_generators_loss_is_the_papers(l1: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """G(m) = m + 1 on maps that are half as bright; D(m, f) is the mean of f alone, so ∂D/∂shift is 1."""
    of, generator = game(PIXELS // 2, l1), Affine(1.0, 1.0)
    of.family.networks["generator"] = generator
    of.state.players["generator"] = Player(
        list(generator.parameters()), torch.optim.SGD(generator.parameters(), 1.0), of.fabric
    )
    shown: list[Tensor] = []

    def mean_of_image(x: Tensor, labels: Tensor) -> tuple[list[Tensor], None]:
        shown.append(x.detach())
        return [x[:, 3:].mean(dim=(1, 2, 3))[:, None]], None

    monkeypatch.setattr(of, "examine", mean_of_image)
    monkeypatch.setattr(of.state.players["discriminator"], "update", lambda loss: None)
    found = pix2pix_step(of, 0, 0)
    real, (maps, fake) = shown[0][:8, 3:], shown[1].chunk(2, dim=1)
    torch.testing.assert_close(fake, maps + 1)
    torch.testing.assert_close(maps, ((real + 1) * 127.5).round().int().floor_divide(2) / 127.5 - 1)
    logits = fake.mean(dim=(1, 2, 3))
    assert float(found["loss_g"]) == pytest.approx(float(0.5 * (logits - 1).square().mean()), rel=1e-4)
    assert float(found["l1"]) == pytest.approx(l1 * float((fake - real).abs().mean()), rel=1e-4)
    slope = float((logits - 1).mean() + l1 * (fake - real).sign().mean())  # both parts move the generator
    assert generator.shift.item() == pytest.approx(1 - slope, rel=1e-3)


def test_the_discriminator_sees_each_image_beside_its_own_map(monkeypatch: pytest.MonkeyPatch) -> None:
    of, shown = negatives(), []
    examine = of.examine
    monkeypatch.setattr(of, "examine", lambda x, labels: (shown.append((x.detach(), labels)), examine(x, labels))[1])
    pix2pix_step(of, 0, 0)
    (both, labels), (painted, of_painted) = shown
    real, fake = both[:8], both[8:]
    torch.testing.assert_close(real[:, :3], -real[:, 3:])
    assert torch.equal(fake[:, :3], real[:, :3])  # made from the same maps
    assert torch.equal(painted, fake)
    assert torch.equal(labels, torch.cat([of_painted, of_painted]))
    levels = ((real[:, 3:] + 1) * 127.5).round().byte()
    plain = {bytes(image.numpy()): k // PER_CLASS for k, image in enumerate(PIXELS)}
    turned = {bytes(image.contiguous().numpy()): k // PER_CLASS for k, image in enumerate(PIXELS.flip(3))}
    keys = [bytes(image.contiguous().numpy()) for image in levels]
    assert any(key in plain for key in keys)
    assert any(key in turned for key in keys)  # mirrored together with its map
    assert [{**plain, **turned}[key] for key in keys] == of_painted.tolist()


def test_a_folder_of_maps_is_found_from_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    options = Pix2PixOptions(family="pix2pix", pairs="maps")
    assert options.map_folder == tmp_path / "maps"
    assert Pix2PixOptions.model_validate(options.model_dump()) == options
    edges = Pix2PixOptions(family="pix2pix")
    assert (edges.pairs, edges.map_folder) == (EDGES, None)
    assert Pix2PixOptions(family="pix2pix", pairs=f"./{EDGES}").map_folder == tmp_path / EDGES
