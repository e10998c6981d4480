"""CycleGAN: its losses worked out by hand, its pool of past fakes, and nothing hidden in a fake."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from translation_material import PER_CLASS, Affine, game_of, images

from synthaug.models.family import ImageShape
from synthaug.models.inputs import Inputs
from synthaug.runs import Run
from synthaug.training import checkpoint
from synthaug.training.game import Game
from synthaug.training.state import Player
from synthaug.training.steps import cyclegan
from synthaug.training.steps.translation import distance, hidden_nothing
from synthaug.translators.fake_pool import FakePool

MADE, SOURCE = 0, 1


def game(
    pixels: Tensor | None = None, there: nn.Module | None = None, back: nn.Module | None = None, **weights: float
) -> Game:
    """A CycleGAN of two classes of even brightness, with these generators."""
    pixels = images(torch.tensor([64, 191])) if pixels is None else pixels
    made = game_of("cyclegan", pixels, {"pool": 2, **weights}, augment=[])
    if there is not None and back is not None:
        made.family.networks |= {"generator": there, "way_back": back}
        learning = [*there.parameters(), *back.parameters()]
        optimizer = torch.optim.Adam(learning, 0.1)
        made.state.players["generator"] = Player(learning, optimizer, made.fabric)
    return made


def test_cycle_and_identity_are_those_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cyclegan, "hidden_nothing", lambda images, rng: images)
    x, y = 0.5, -0.25  # every real image has one of two levels; classes 0 and 1 are made from each other
    levels = torch.tensor([(y + 1) * 127.5, (x + 1) * 127.5]).round()
    y, x = (levels / 127.5 - 1).tolist()
    found = cyclegan.cyclegan_step(game(images(levels), Affine(0.5, 0.0), Affine(1.0, 0.25)), 0, 0)
    # F(G(v)) = v / 2 + 1/4 and G(F(v)) = v / 2 + 1/8; half of the images v have the level x, the others y
    forth = [abs(v / 2 + 0.25 - v) for v in (x, y)]
    and_back = [abs(v / 2 + 0.125 - v) for v in (x, y)]
    assert float(found["cycle"]) == pytest.approx(10 * (sum(forth) / 2 + sum(and_back) / 2), abs=1e-4)
    # |G(v) − v| = |v| / 2 and |F(v) − v| = 1/4
    assert float(found["identity"]) == pytest.approx(5 * ((abs(x) + abs(y)) / 4 + 0.25), abs=1e-4)


def test_the_generators_loss_is_the_sum_and_each_direction_has_its_discriminator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = game()
    totals: list[float] = []
    update = of.state.players["generator"].update
    monkeypatch.setattr(
        of.state.players["generator"], "update", lambda loss: (totals.append(loss.item()), update(loss))
    )
    before = {name: [p.clone() for p in network.parameters()] for name, network in of.family.networks.items()}
    found = cyclegan.cyclegan_step(of, 0, 0)
    parts = [float(found[name]) for name in ("loss_g", "loss_g_back", "cycle", "identity")]
    assert totals == [pytest.approx(sum(parts))]
    assert {"loss_d", "loss_d_back"} <= found.keys()
    for name in ("generator", "way_back", "discriminator", "back_discriminator"):
        now = list(of.family.networks[name].parameters())
        assert any(not torch.equal(a, b) for a, b in zip(before[name], now, strict=True)), name


# the pool


def fakes(*levels: int) -> Tensor:
    return torch.tensor(levels)[:, None, None, None].repeat(1, 1, 4, 4) / 127.5 - 1


def test_half_of_the_fakes_are_swapped_for_earlier_ones_of_their_class() -> None:
    pool, rng = FakePool(ImageShape(4, 1, 2), 3), torch.Generator().manual_seed(0)
    first, labels = fakes(0, 1, 2, 100, 101, 102), torch.tensor([0, 0, 0, 1, 1, 1])
    assert torch.equal(pool.swap(first, labels, rng), first)  # a pool that is not full shows what it gets
    shown_past = 0
    seen = {0: {0, 1, 2}, 1: {100, 101, 102}}
    for step in range(1, 30):
        now = fakes(3 * step, 3 * step + 1, 100 + 3 * step, 101 + 3 * step)
        of = torch.tensor([0, 0, 1, 1])
        shown = pool.swap(now, of, rng)
        assert torch.equal(now, fakes(3 * step, 3 * step + 1, 100 + 3 * step, 101 + 3 * step))
        for new, old, label in zip(now, shown, of.tolist(), strict=True):
            level = round(float((old[0, 0, 0] + 1) * 127.5))
            seen[label].add(round(float((new[0, 0, 0] + 1) * 127.5)))
            assert level in seen[label]  # of its own class, and made before
            shown_past += not torch.equal(new, old)
    assert 40 < shown_past < 76  # of 116


def test_without_a_pool_the_discriminator_sees_the_fakes_of_the_step() -> None:
    pool = FakePool(ImageShape(4, 1, 1), 0)
    now = fakes(5, 6)
    assert pool.swap(now, torch.zeros(2, dtype=torch.int64), torch.Generator()) is now


def test_a_training_resumes_exactly_with_its_pool(tmp_path: Path) -> None:
    whole, begun = game(), game()
    for step in range(6):
        cyclegan.cyclegan_step(whole, step, 0)
    for step in range(4):
        cyclegan.cyclegan_step(begun, step, 0)
    pool = cast(FakePool, begun.family.networks["pool"])
    assert pool.filled.tolist() == [2, 2]  # it is full, so that the next steps swap
    run = Run(tmp_path)
    name = checkpoint.save(run, begun.state)
    resumed = game()
    checkpoint.restore(run, name, resumed.state)
    for step in range(4, 6):
        cyclegan.cyclegan_step(resumed, step, 0)
    for network, other in zip(whole.state.networks.values(), resumed.state.networks.values(), strict=True):
        ours, theirs = network.state_dict(), other.state_dict()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


# nothing is hidden


def cycle_errors(of: Game) -> tuple[float, float]:
    """|F(G(x)) − x|, and the same after noise and rounding to 256 levels between G and F (1712.02950 §4)."""
    sources, _ = of.batches.take(torch.arange(PER_CLASS, 2 * PER_CLASS))
    back = cyclegan.the_other_way(of)
    to, home = (torch.full((PER_CLASS,), label) for label in (MADE, SOURCE))
    z = torch.zeros(PER_CLASS, 2)
    with torch.no_grad():
        fake = of.generate(Inputs(to, z, sources))
        return tuple(  # type: ignore[return-value]
            float(distance(back.generate(Inputs(home, z, image)), sources))
            for image in (fake, hidden_nothing(fake, torch.Generator().manual_seed(0)))
        )


def hiding() -> Game:
    """Its fakes are one grey, and hold their source in differences of two levels, which the way back enlarges."""
    pixels = torch.randint(256, (2 * PER_CLASS, 1, 16, 16), generator=torch.Generator().manual_seed(1))
    return game(pixels.to(torch.uint8), Affine(1 / 64, 0.0), Affine(64.0, 0.0), identity=0.0)


def test_a_source_hidden_in_the_fake_is_found() -> None:
    plain, disturbed = cycle_errors(hiding())
    assert plain < 0.01
    assert disturbed > 2


@pytest.mark.parametrize("cured", [True, False])
def test_the_cycle_over_a_noised_and_rounded_fake_leaves_nothing_hidden(
    cured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pair that hides goes on if the way back sees the fake itself; where it sees what a file keeps, it stops."""
    monkeypatch.setattr(cyclegan, "adversarial_loss", lambda *arguments: torch.zeros(()))  # the cycle alone
    if not cured:
        monkeypatch.setattr(cyclegan, "hidden_nothing", lambda images, rng: images)
    of = hiding()
    for step in range(100):
        cyclegan.cyclegan_step(of, step, 0)
    plain, disturbed = cycle_errors(of)
    assert plain < 0.05
    if cured:
        assert disturbed - plain < 0.15
    else:
        assert disturbed - plain > 1
