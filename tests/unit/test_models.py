"""What each family promises beyond the contract: the equations of its paper, on numbers that can be checked."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from generator_material import FROM_NOISE, small_options
from lightning_fabric import Fabric
from torch.nn import functional as F

from synthaug import runs
from synthaug.config import RESOLUTIONS, validate
from synthaug.data.batches import BalancedBatches
from synthaug.errors import SynthaugError
from synthaug.models import MODELS, biggan, build_family, lapgan, progressive, projected, r3gan, stylegan2
from synthaug.models.blocks import ConditionalBatchNorm2d
from synthaug.models.family import Family, ImageShape
from synthaug.models.inputs import Inputs
from synthaug.progress import Silent
from synthaug.training import checkpoint
from synthaug.training.ema import Average
from synthaug.training.game import Game, build_game
from synthaug.training.loop import train
from synthaug.training.state import Counters
from synthaug.training.steps.adversarial import adversarial_step
from synthaug.training.steps.pyramid import pyramid_step

SHAPE = ImageShape(32, 3, classes=3)


def make(name: str, shape: ImageShape = SHAPE, seed: int = 0, **settings: object) -> Family:
    torch.manual_seed(seed)
    return build_family(name, shape, small_options(name, **settings))


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def game_for(family: Family, resolution: int = 32, batch: int = 8) -> Game:
    pixels = torch.randint(256, (24, 3, resolution, resolution), generator=torch.Generator().manual_seed(3))
    draws = torch.full((3,), 1 / 3, dtype=torch.float64)
    batches = BalancedBatches(pixels.to(torch.uint8), torch.arange(24) % 3, draws, batch, False)
    config = validate({"training": {"batch_size": batch}})
    return build_game(config, family, batches, Fabric(accelerator="cpu", devices=1, precision="32-true"))


class Silenced:
    """Stands in for the monitor, which has no part here."""

    latest = ""

    def score(self, generator: torch.nn.Module) -> dict[str, float]:
        return {"score": 0.0}

    def save_grid(self, generator: torch.nn.Module, file: Path) -> None:
        pass


@pytest.mark.parametrize("budget", ["2.048kimg", "20s"])
def test_the_loop_says_how_far_it_is(budget: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    now = itertools.count(step=0.001)  # a look at the clock takes a millisecond, and a step a second
    clock = SimpleNamespace(monotonic=lambda: len(told) + next(now))
    monkeypatch.setattr("synthaug.training.loop.time", clock)
    monkeypatch.setattr(Family, "set_progress", lambda self, progress: told.append(progress))
    game = game_for(make("mlp", ImageShape(16, 3, 3)), 16, batch=256)
    game.config = validate({"training": {"batch_size": 256, "budget": budget, "compile": False}})
    train(runs.create(tmp_path, "told"), game, Silenced(), Silent())  # type: ignore[arg-type]
    if budget.endswith("kimg"):
        assert told == [k / 8 for k in range(8)]
    else:
        assert told[:4] == [1.0] * 4  # the pace is measured on the full size
        assert len(told) == pytest.approx(20, abs=1)  # four steps are the whole warm-up, and one of them is timed


# biggan


def test_attention_passes_its_input_at_first_and_then_adds_a_mean_of_values_weighed_by_softmax() -> None:
    torch.manual_seed(0)
    attention = biggan.SelfAttention(16).eval()
    x = noise(1, 16, 8, 8)
    assert torch.equal(attention(x), x)
    with torch.no_grad():
        attention.gamma.fill_(1.0)
    pooled = F.max_pool2d(x, 2)
    q, k, v = attention.query(x), attention.key(pooled), attention.value(pooled)
    mixed = torch.zeros(1, 8, 8, 8)
    for i, j in itertools.product(range(8), range(8)):
        scores = (q[0, :, i, j][:, None, None] * k[0]).sum(dim=0)
        mixed[0, :, i, j] = (v[0] * (scores.exp() / scores.exp().sum())).sum(dim=(1, 2))
    torch.testing.assert_close(attention(x), x + attention.out(mixed))


def test_attention_stands_where_it_was_asked_for() -> None:
    plain, attending = make("biggan"), make("biggan", attention=16)
    for network in ("generator", "discriminator"):
        extra = len(list(getattr(attending, network).parameters())) - len(list(getattr(plain, network).parameters()))
        assert extra > 0
    x = attending.generator(Inputs(torch.arange(2), noise(2, 16)))
    assert attending.discriminator(x, torch.arange(2))[0].isfinite().all()
    with pytest.raises(SynthaugError, match=r"model\.attention = 32 does not fit"):
        make("biggan", attention=32)


def test_every_chunk_of_z_counts() -> None:
    family = make("biggan")
    family.generator.eval()
    with torch.no_grad():
        for name, parameter in family.generator.named_parameters():
            if "affine" in name:  # conditional scales and shifts start at zero
                parameter.copy_(0.1 * noise(*parameter.shape))
    z = noise(1, 16)
    before = family.generator(Inputs(torch.zeros(1, dtype=torch.int64), z))
    assert sum(family.generator.chunks) == 16
    for start in (0, *itertools.accumulate(family.generator.chunks[:-1])):
        moved = z.clone()
        moved[:, start] += 1
        assert not torch.equal(family.generator(Inputs(torch.zeros(1, dtype=torch.int64), moved)), before)


def test_the_average_keeps_the_directions_of_spectral_norm_of_length_one() -> None:
    family = make("biggan")
    average = Average(family.generator, half_life_kimg=1.0, ramp=1.0)
    for k in range(3):
        family.generator(Inputs(torch.arange(4) % 3, noise(4, 16, seed=k)))
        average.update(family.generator, 10_000, 500)
    vectors = [b for name, b in average.network.named_buffers() if name.endswith(("._u", "._v"))]
    assert vectors
    for vector in vectors:
        assert vector.norm().item() == pytest.approx(1.0, abs=1e-5)


# fastgan


def test_a_small_map_gates_the_channels_of_a_large_one() -> None:
    from synthaug.models.fastgan import SkipLayerExcitation, excited_by

    torch.manual_seed(0)
    excitation = SkipLayerExcitation(8, 4).eval()
    low, high = noise(2, 8, 8, 8), noise(2, 4, 32, 32)
    ratio = excitation(low, high) / high
    assert ((ratio > 0) & (ratio < 1)).all()
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio), rtol=1e-3, atol=1e-4)  # one gate a channel
    for resolution in RESOLUTIONS:
        assert excited_by(resolution, resolution) >= 4  # the image's own side is always excited


# stylegan2


def test_modulated_convolution_is_one_convolution_an_image_with_weights_of_unit_norm() -> None:
    torch.manual_seed(0)
    layer = stylegan2.ModulatedConv2d(6, 5, 3, w_dim=4)
    x, w = noise(3, 6, 8, 8), noise(3, 4, seed=2)
    style = layer.style(w)
    got = layer(x, w)
    for k in range(3):
        weight = layer.weight * layer.scale * style[k][None, :, None, None]  # eq. 1
        weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()  # eq. 3
        torch.testing.assert_close(got[k : k + 1], F.conv2d(x[k : k + 1], weight, padding=1), rtol=1e-4, atol=1e-5)
        scaled = layer.weight * layer.scale * style[k][None, :, None, None]
        norms = scaled.square().sum(dim=(1, 2, 3)).sqrt() * layer.inverse_norm(style)[k]
        torch.testing.assert_close(norms, torch.ones(5))


def test_bilinear_enlargement_is_the_papers_filter() -> None:
    x = noise(1, 1, 6, 6)
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    spread = torch.zeros(1, 1, 12, 12)
    spread[:, :, ::2, ::2] = x
    filtered = F.conv2d(F.pad(spread, (2, 1, 2, 1)), (taps[:, None] * taps)[None, None])
    torch.testing.assert_close(stylegan2._up(x)[:, :, 1:-1, 1:-1], filtered[:, :, 1:-1, 1:-1])


def test_noise_is_made_from_z_with_unit_variance() -> None:
    torch.manual_seed(0)
    layer = stylegan2.Noise(64, 16)
    with torch.no_grad():
        layer.strength.fill_(1.0)
        made = layer(noise(500, 64))
        assert torch.equal(made, layer(noise(500, 64)))
    assert made.shape == (500, 1, 16, 16)
    assert made.std().item() == pytest.approx(1.0, abs=0.1)
    pixels = made.flatten(1)
    correlation = torch.corrcoef(pixels.T) - torch.eye(256)
    assert correlation.abs().mean() < 0.15  # neighbours know little of each other


@pytest.mark.parametrize("name", MODELS.names())
def test_gradient_penalties_can_be_differentiated_again(name: str) -> None:
    family = make(name, ImageShape(16, 1, classes=3))
    x = noise(4, 1, 16, 16).requires_grad_(True)
    score = torch.stack([head.sum() for head in family.discriminator(x, torch.arange(4) % 3)]).sum()
    (gradient,) = torch.autograd.grad(score, x, create_graph=True)
    gradient.square().sum().backward()
    grads = [p.grad for p in family.discriminator.parameters() if p.grad is not None]
    assert all(g.isfinite().all() for g in grads)
    assert sum(g.abs().sum() for g in grads) > 0


# r3gan


def test_a_residual_block_starts_as_the_identity() -> None:
    torch.manual_seed(0)
    block = r3gan.ResidualBlock(16, branches=8)
    x = noise(2, 16, 8, 8)
    assert torch.equal(block(x), x)
    family = make("r3gan")
    for network in (family.generator, family.discriminator):
        zero = [p for name, p in network.named_parameters() if name.endswith("narrow.weight")]
        assert len(zero) == 8
        assert all(p.count_nonzero() == 0 for p in zero)
        assert not any(isinstance(m, torch.nn.modules.batchnorm._NormBase) for m in network.modules())


# progressive


def test_it_begins_with_enlarged_4_px_images_and_ends_with_full_ones() -> None:
    generator = make("progressive").generator
    z, y = noise(4, 16), torch.arange(4) % 3
    generator.set_progress(0.0)
    small = generator(Inputs(y, z))
    assert small.shape == (4, 3, 32, 32)
    assert torch.equal(small, F.interpolate(small[:, :, ::8, ::8], scale_factor=8))
    generator.set_progress(1.0)
    full = generator(Inputs(y, z))
    assert not torch.equal(full, F.interpolate(full[:, :, ::2, ::2], scale_factor=2))


@pytest.mark.parametrize("edge", [1 / 12, 2 / 12, 3 / 12, 4 / 12, 5 / 12, 6 / 12])
def test_fading_has_no_jumps(edge: float) -> None:
    family = make("progressive")
    z, y, x = noise(4, 16), torch.arange(4) % 3, noise(4, 3, 32, 32)
    results = []
    for progress in (edge - 1e-5, edge + 1e-5):
        family.set_progress(progress)
        results.append((family.generator(Inputs(y, z)), family.discriminator(x, y)[0]))
    for before, after in zip(*results, strict=True):
        torch.testing.assert_close(before, after, rtol=0, atol=5e-3)


def test_it_grows_steadily_and_is_grown_at_half_time() -> None:
    stages = [progressive.stage_at(p / 200, 4) for p in range(201)]
    assert stages[0] == 0
    assert stages[100:] == [3] * 101
    assert all(a <= b <= a + 0.07 for a, b in itertools.pairwise(stages))


def test_the_average_grows_with_its_generator() -> None:
    generator = make("progressive").generator
    average = Average(generator, half_life_kimg=1.0)
    generator.set_progress(0.2)
    average.update(generator, 1000, 8)
    assert torch.equal(average.network.stage, generator.stage)


def test_a_growing_training_resumes_exactly(tmp_path: Path) -> None:
    progresses = [0.0, 0.05, 0.18, 0.22, 0.3]  # 4 px, and the middle of fading in the second octave

    def advance(game: Game, first: int, last: int) -> None:
        for step in range(first, last):
            game.family.set_progress(progresses[step])
            adversarial_step(game, step, 0)
            game.state.average.update(game.family.generator, (step + 1) * 8, 8)

    whole = game_for(make("progressive", ImageShape(16, 3, 3)), 16)
    advance(whole, 0, 5)
    begun = game_for(make("progressive", ImageShape(16, 3, 3)), 16)
    advance(begun, 0, 2)
    run = runs.create(tmp_path, "grown")
    begun.state.counters = Counters(2, 16)
    name = checkpoint.save(run, begun.state)
    resumed = game_for(make("progressive", ImageShape(16, 3, 3), seed=9), 16)
    checkpoint.restore(run, name, resumed.state)
    assert resumed.state.counters == Counters(2, 16)
    assert float(resumed.family.generator.stage) == float(begun.family.generator.stage)  # type: ignore[arg-type]
    advance(resumed, 2, 5)
    for a, b in (
        (whole.family.generator, resumed.family.generator),
        (whole.family.discriminator, resumed.family.discriminator),
        (whole.state.average.network, resumed.state.average.network),
    ):
        theirs = b.state_dict()
        assert all(torch.equal(value, theirs[key]) for key, value in a.state_dict().items())


# lapgan


def test_the_pyramid_of_an_image_gives_it_back() -> None:
    x = noise(2, 3, 64, 64)
    levels = lapgan.gaussian_pyramid(x)
    low = lapgan.low_passes(levels)
    details = [fine - coarse for fine, coarse in zip(levels[1:], low, strict=True)]
    assert [level.shape[2] for level in levels] == [8, 16, 32, 64]
    image = levels[0]
    for detail in details:
        image = lapgan.up(image) + detail
    torch.testing.assert_close(image, x, rtol=0, atol=1e-6)


def test_each_level_learns_from_the_low_pass_image_it_is_given() -> None:
    generator = make("lapgan").generator
    assert generator.z_dim == 3 * 16
    z, y, real = noise(4, generator.z_dim), torch.arange(4) % 3, noise(4, 3, 32, 32)
    low = lapgan.low_passes(lapgan.gaussian_pyramid(real))
    levels = generator.levels(Inputs(y, z), low)
    assert [level.shape[2] for level in levels] == [8, 16, 32]
    levels[2].sum().backward()
    assert all(p.grad is None for p in generator.coarse.parameters())
    assert all(p.grad is None for p in generator.refiners[0].parameters())
    assert all(p.grad is not None for p in generator.refiners[1].parameters())
    changed = [low[0], low[1] + 1]
    again = generator.levels(Inputs(y, z), changed)
    assert torch.equal(again[1], levels[1])
    assert not torch.equal(again[2], levels[2])


def test_sampling_runs_through_the_whole_pyramid_with_noise_at_each_level() -> None:
    generator = make("lapgan").generator.eval()
    z, y = noise(4, generator.z_dim), torch.arange(4) % 3
    image = generator(Inputs(y, z))
    for part in range(3):
        moved = z.clone()
        moved[:, 16 * part : 16 * (part + 1)] += 1
        assert not torch.equal(generator(Inputs(y, moved)), image)
    x = generator.coarse(generator.conditions(Inputs(y, z))[0])
    given = []
    for k in range(2):
        given.append(lapgan.up(x))
        x = generator.levels(Inputs(y, z), [*given, *[torch.zeros(4, 3, 32, 32)] * (1 - k)])[k + 1].clamp(-1, 1)
    assert torch.equal(x, image)


def test_the_step_judges_generated_details_on_real_low_pass_images() -> None:
    family = make("lapgan")
    game = game_for(family)
    game.augment = lambda x, rng: x  # type: ignore[assignment]
    seen: list[torch.Tensor] = []
    family.discriminator.finer[1].register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    assert family.step == "pyramid"
    pyramid_step(game, 0, 0)
    real, fake = seen[0].chunk(2)
    assert torch.equal(real[:, 3:], fake[:, 3:])  # the low-pass images
    assert not torch.equal(real[:, :3], fake[:, :3])  # the details


# projected


def test_the_step_draws_other_noise_for_another_seed_and_computes_in_the_runs_precision() -> None:
    def pyramid() -> Game:
        return game_for(make("lapgan", z_dim=8, width=8, discriminator_width=8))

    first, same, other = (float(pyramid_step(pyramid(), 3, seed)["real_score"]) for seed in (0, 0, 7))
    assert first == same != other
    game, dtypes = pyramid(), set()
    game.fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    layer = game.family.discriminator.layers()[0]
    layer.register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
    pyramid_step(game, 3, 0)
    assert dtypes == {torch.bfloat16}


@pytest.mark.parametrize("name", MODELS.names())
def test_layers_to_freeze_go_from_the_image_inwards(name: str) -> None:
    discriminator = make(name).discriminator.eval()
    layers, met = discriminator.layers(), []
    for k, layer in enumerate(layers):
        layer.register_forward_hook(lambda module, inputs, output, k=k: met.append(k))
    discriminator(noise(4, 3, 32, 32), torch.arange(4) % 3)
    assert sorted(met) == list(range(len(layers)))  # all of them are used
    assert layers or not any(isinstance(module, torch.nn.Conv2d) for module in discriminator.modules())
    if name == "lapgan":  # levels stand beside each other, not behind
        assert [layer.weight.shape[1] for layer in layers[:3]] == [3, 6, 6]
    else:  # a shortcut may come before or after what it goes round
        assert max((abs(k - place) for place, k in enumerate(met)), default=0) <= 2


@pytest.mark.parametrize("name", MODELS.names())
def test_what_a_class_gives_depends_on_the_layers_that_read_its_embedding(name: str) -> None:
    """A penalty on the embeddings alone would be met by shorter ones, with stronger layers behind them."""
    generator = make(name).generator
    with torch.no_grad():
        for module in generator.modules():
            if isinstance(module, ConditionalBatchNorm2d):
                module.affine.weight.normal_()  # at first it is zero
    torch.stack([given.square().sum() for given in generator.conditional_parameters()]).sum().backward()
    embeddings = {id(m.weight) for m in generator.modules() if isinstance(m, torch.nn.Embedding)}
    learning = [p for p in generator.parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert any(id(p) in embeddings for p in learning)
    assert any(id(p) not in embeddings for p in learning)
    assert all(
        len(given) == len(next(m for m in generator.modules() if isinstance(m, torch.nn.Embedding)).weight)
        for given in generator.conditional_parameters()
    )


def test_freezing_goes_through_all_heads_and_meets_the_attention_in_its_place() -> None:
    projecting = make("dcgan", ImageShape(16, 1, 3), discriminator="projected").discriminator
    for head, layer in zip(projecting.heads, projecting.layers(), strict=False):
        assert any(module is layer for module in head.modules())
    discriminator = make("biggan", ImageShape(32, 3, 3), attention=16).discriminator
    met: list[int] = []
    layers = discriminator.layers()
    for k, layer in enumerate(layers):
        layer.register_forward_hook(lambda module, inputs, output, k=k: met.append(k))
    discriminator(noise(4, 3, 32, 32), torch.arange(4) % 3)
    assert sorted(met) == list(range(len(layers)))
    assert max(abs(k - place) for place, k in enumerate(met)) <= 2


@pytest.mark.parametrize("name", ["stylegan2", "progressive"])
def test_a_penalty_on_conditional_parameters_cannot_be_met_by_shorter_embeddings(name: str) -> None:
    generator = make(name).generator
    before = generator.conditional_parameters()[0].detach().clone()
    embedding = next(m for m in generator.modules() if isinstance(m, torch.nn.Embedding))
    with torch.no_grad():
        embedding.weight.mul_(0.1)
    torch.testing.assert_close(generator.conditional_parameters()[0], before, rtol=1e-4, atol=1e-5)


def test_the_frozen_net_is_neither_trained_nor_saved_and_lets_gradients_through() -> None:
    family = make("dcgan", ImageShape(16, 1, 3), discriminator="projected")
    discriminator = family.discriminator
    x = noise(2, 1, 16, 16).requires_grad_(True)
    heads = discriminator(x, torch.arange(2))
    assert len(heads) == 4
    torch.stack([head.sum() for head in heads]).sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).all()
    net = projected.frozen_net(x.device)
    assert all(not p.requires_grad and p.grad is None for p in net.parameters())
    assert not net.training
    own = {id(p) for p in discriminator.parameters()}
    assert own.isdisjoint(id(p) for p in net.parameters())
    assert sum(t.numel() for t in discriminator.state_dict().values()) < 200_000  # the frozen net alone has 3.4 million
    mixing = [name for name, _ in discriminator.named_parameters() if "mixing" in name]
    assert mixing == []


def test_its_maps_are_those_of_the_feature_net() -> None:
    x = noise(1, 3, 96, 96).clamp(-1, 1)
    maps = list(projected.feature_maps(x))
    assert [(m.shape[1], m.shape[2]) for m in maps] == list(zip(projected.STAGE_CHANNELS, (24, 12, 6, 3), strict=True))
    net = projected.frozen_net(x.device)
    torch.testing.assert_close(net.bn2(net.conv_head(maps[-1])), net.forward_features(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", FROM_NOISE)
def test_it_goes_with_every_generator(name: str) -> None:
    family = make(name, ImageShape(16, 3, 3), discriminator="projected")
    assert isinstance(family.discriminator, projected.ProjectedDiscriminator)
    y = torch.arange(4) % 3
    heads = family.discriminator(family.generator(Inputs(y, noise(4, family.generator.z_dim))), y)
    torch.stack([head.sum() for head in heads]).sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in family.generator.parameters())
    assert family.step == "adversarial"


def test_an_unknown_discriminator_is_refused() -> None:
    with pytest.raises(SynthaugError, match="no discriminator 'projekted'"):
        make("dcgan", discriminator="projekted")


@pytest.mark.parametrize("channels", [1, 3])
def test_what_sampling_saves_changes_no_pixel(channels: int) -> None:
    """The fused normalisation and the last layer's product against the layers as training uses them."""
    generator = make("dcgan", ImageShape(32, channels, classes=3)).generator
    for norm in (m for m in generator.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(noise(norm.num_features))
        norm.running_var.copy_(noise(norm.num_features).square() + 0.1)
    with torch.no_grad():
        for norm in (m for m in generator.modules() if isinstance(m, ConditionalBatchNorm2d)):
            norm.affine.weight.normal_(0, 0.3)
        z, y = noise(64, generator.z_dim), torch.arange(64) % 3
        fast = generator.eval()(Inputs(y, z))
        generator.train()
        for norm in (m for m in generator.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.eval()  # the stored statistics, but in three steps
        usual = generator(Inputs(y, z))
    assert fast.std() > 0.1
    torch.testing.assert_close(fast, usual, rtol=0, atol=1e-5)


# unconditional; without spectral norm


@pytest.mark.parametrize("name", FROM_NOISE)
def test_a_blind_discriminator_never_hears_of_the_class(name: str) -> None:
    family = make(name, discriminator="unconditional")
    family.set_condition_strength(1.0)
    family.discriminator.eval()
    x, z = noise(4, 3, 32, 32), noise(4, family.generator.z_dim)
    zeros, ones = torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    for a, b in zip(family.discriminator(x, zeros), family.discriminator(x, ones), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(family.generator.eval()(Inputs(zeros, z)), family.generator(Inputs(ones, z)))


def test_without_spectral_norm_the_weights_are_as_they_are() -> None:
    held, free = make("dcgan"), make("dcgan", spectral_norm=False)
    y, x = torch.arange(4) % 3, noise(4, 3, 32, 32)
    with torch.no_grad():
        for family in (held, free):
            family.discriminator.eval()
            for name, parameter in family.discriminator.named_parameters():
                if "bias" not in name:
                    parameter.mul_(2)
    one, other = held.discriminator(x, y)[0], free.discriminator(x, y)[0]
    assert other.abs().mean() > 5 * one.abs().mean()  # six layers, each twice as strong; the norm divides that away


def test_there_must_be_a_spectral_norm_to_take_out() -> None:
    with pytest.raises(SynthaugError, match=r"spectral_norm = false.*mlp"):
        make("mlp", spectral_norm=False)
