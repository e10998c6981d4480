"""A player's update: one step of its optimiser down the gradient of the loss, averaged over the processes."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning_fabric import Fabric

from synthaug.training.state import Player

STEPS, BATCH = 3, 12


def train(fabric: Fabric) -> torch.Tensor:
    """Weights after a few steps in which each process sees its share of the same global batch."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    player = Player(list(network.parameters()), torch.optim.Adam(network.parameters(), 1e-2), fabric)
    for _ in range(STEPS):
        batch = torch.randn(BATCH, 3).chunk(fabric.world_size)[fabric.global_rank]
        batch.requires_grad_(True)
        out = network(batch)
        (gradient,) = torch.autograd.grad(out.sum(), batch, create_graph=True)  # as a gradient penalty does
        player.update(out.square().mean() + gradient.square().sum(dim=1).mean())
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def train_and_store(fabric: Fabric, folder: Path) -> None:
    torch.save(train(fabric), folder / f"{fabric.global_rank}.pt")


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    alone = train(Fabric(accelerator="cpu", devices=1))
    two = Fabric(accelerator="cpu", devices=2, strategy="ddp_fork")
    two.launch(train_and_store, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert torch.equal(first, second)
    torch.testing.assert_close(first, alone, rtol=1e-5, atol=1e-6)


def test_a_player_that_is_held_gets_no_gradients_and_passes_them_on() -> None:
    fabric = Fabric(accelerator="cpu", devices=1)
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    moving = Player(list(first.parameters()), torch.optim.SGD(first.parameters(), 0.1), fabric)
    held = Player(list(second.parameters()), torch.optim.SGD(second.parameters(), 0.1), fabric)
    before = first.weight.detach().clone()
    with held.held():
        moving.update(second(first(torch.ones(1, 2))).sum())
    assert not torch.equal(first.weight, before)
    assert second.weight.grad is None
    assert second.weight.requires_grad
