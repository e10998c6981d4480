"""CUT: the contrast of patches, worked out by hand, and which patches are compared."""

from __future__ import annotations

import math

import pytest
import torch
from translation_material import game_of, images

from synthaug.training.game import Game
from synthaug.training.steps import cut as step_of
from synthaug.training.steps.cut import cut_step
from synthaug.translators.cut import TEMPERATURE, PatchHeads, patch_nce, some_places


def game(**settings: object) -> Game:
    return game_of("cut", images(torch.tensor([64, 191])), settings, augment=[])


def test_the_contrast_of_patches_is_the_papers() -> None:
    source = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    fake = torch.tensor([[[0.8, 0.6], [1.0, 0.0]]])
    one = -math.log(math.exp(0.8 / 0.07) / (math.exp(0.8 / 0.07) + math.exp(0.6 / 0.07)))
    two = -math.log(1 / (1 + math.exp(1 / 0.07)))  # this patch looks like the other place
    assert TEMPERATURE == 0.07
    assert float(patch_nce(fake, source)) == pytest.approx((one + two) / 2, rel=1e-5)


def test_other_images_are_no_negatives_and_the_source_gets_no_gradient() -> None:
    source = torch.nn.functional.normalize(torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0)), dim=2)
    fake = source.roll(1, dims=2).clone().requires_grad_(True)
    source.requires_grad_(True)
    loss = patch_nce(fake, source)
    alone = [patch_nce(fake[k : k + 1], source[k : k + 1]) for k in range(3)]
    assert loss.item() == pytest.approx(torch.stack(alone).mean().item())
    loss.backward()
    assert source.grad is None
    assert fake.grad is not None


def test_there_are_at_most_as_many_patches_as_places_and_none_twice() -> None:
    maps = [torch.zeros(2, 3, 16, 16), torch.zeros(2, 8, 4, 4)]
    large, small = some_places(maps, 100, torch.Generator().manual_seed(0))
    assert len(large) == len(set(large.tolist())) == 100
    assert sorted(small.tolist()) == list(range(16))


def test_a_head_sees_its_place_alone_and_gives_unit_vectors() -> None:
    heads = PatchHeads([2])
    features = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    (found,) = heads([features], [torch.tensor([0, 4])])
    torch.testing.assert_close(found.norm(dim=2), torch.ones(1, 2))
    other = features.clone()
    other[:, :, 1, 1] += 1  # place 4
    (changed,) = heads([other], [torch.tensor([0, 4])])
    assert torch.equal(found[:, 0], changed[:, 0])
    assert not torch.allclose(found[:, 1], changed[:, 1])


def test_the_loss_adds_half_of_both_contrasts(monkeypatch: pytest.MonkeyPatch) -> None:
    of = game(nce=3.0)
    answers = iter([torch.tensor(2.0), torch.tensor(1.0)])
    monkeypatch.setattr(step_of, "_contrast", lambda *arguments: next(answers))
    totals: list[float] = []
    update = of.state.players["generator"].update
    monkeypatch.setattr(
        of.state.players["generator"], "update", lambda loss: (totals.append(loss.item()), update(loss))
    )
    found = cut_step(of, 0, 0)
    assert float(found["nce"]) == pytest.approx(3 * (2 + 1) / 2)
    assert totals == [pytest.approx(float(found["loss_g"] + found["nce"]))]


def test_without_the_identity_only_the_fakes_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    of = game(nce=3.0, nce_identity=False)
    monkeypatch.setattr(step_of, "_contrast", lambda *arguments: torch.tensor(2.0))
    assert float(cut_step(of, 0, 0)["nce"]) == pytest.approx(3 * 2)


def test_the_contrast_falls_and_the_heads_learn() -> None:
    of = game_of("cut", torch.randint(256, (32, 1, 16, 16), generator=torch.Generator().manual_seed(0)).byte(), {})
    before = [p.clone() for p in of.family.networks["patch_heads"].parameters()]
    found = [float(cut_step(of, step, 0)["nce"]) for step in range(15)]
    assert sum(found[-3:]) < 0.95 * sum(found[:3])
    after = of.family.networks["patch_heads"].parameters()
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
