"""Muon: against PyTorch's, which works in bfloat16, and which weights it takes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

torch = pytest.importorskip("torch", reason="the optimizers are torch's")

from tutelage.model.loading import load_policy, load_scalar_model  # noqa: E402
from tutelage.training.config import OptimizerConfig  # noqa: E402
from tutelage.training.muon import Muon, orthogonal  # noqa: E402
from tutelage.training.optim import Optimizer  # noqa: E402

if TYPE_CHECKING:
    from tiny import Tiny


def _matrix(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(24, 24), (16, 40), (40, 16)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    values = torch.linalg.svdvals(orthogonal(_matrix(*shape)))
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.25


def test_directions_are_kept() -> None:
    left, _, right = torch.linalg.svd(_matrix(24, 40), full_matrices=False)
    rotated = left.T @ orthogonal(_matrix(24, 40)) @ right.T
    assert torch.allclose(rotated, torch.diag(rotated.diagonal()), atol=1e-4)
    assert float(rotated.diagonal().min()) > 0.6


def test_a_tall_matrix_is_a_wide_one_turned() -> None:
    assert torch.allclose(orthogonal(_matrix(40, 16)), orthogonal(_matrix(40, 16).T).T)


def test_zero_stays_zero() -> None:
    assert not orthogonal(torch.zeros(4, 6)).any()


@pytest.mark.parametrize("shape", [(24, 24), (16, 40), (40, 16)])
def test_five_steps_are_those_of_pytorch(shape: tuple[int, int]) -> None:
    ours = torch.nn.Parameter(_matrix(*shape))
    theirs = copy.deepcopy(ours)
    mine = Muon([ours], lr=0.02, momentum=0.9, weight_decay=0.1)
    peer = torch.optim.Muon([theirs], lr=0.02, momentum=0.9, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    before = ours.detach().clone()
    for seed in range(5):
        ours.grad, theirs.grad = _matrix(*shape, seed=seed + 1), _matrix(*shape, seed=seed + 1)
        mine.step()
        peer.step()
    moved, gap = (float((ours.detach() - other).norm()) for other in (before, theirs.detach()))
    # Three digits of bfloat16; a wrong momentum, size or decay is off by a tenth and more.
    assert gap < 0.03 * moved


def test_only_matrices_inside_the_layers_are_muons(tiny: Tiny) -> None:
    for model in (load_policy(tiny.policy), load_scalar_model(tiny.reward_model)):
        parts = Optimizer(model, OptimizerConfig(learning_rate=0.1, matrices="muon"), num_steps=1).parts
        muons = {id(p) for group in parts["muon"].param_groups for p in group["params"]}
        adams = {id(p) for group in parts["adam"].param_groups for p in group["params"]}
        names = {name for name, p in model.named_parameters() if id(p) in muons}
        assert names and all(".layers." in name and "norm" not in name for name in names)
        assert muons.isdisjoint(adams)
        assert muons | adams == {id(p) for p in model.parameters()}


def test_state_goes_back_in_whole(tiny: Tiny) -> None:
    config = OptimizerConfig(learning_rate=0.01, matrices="muon")
    first, second = load_policy(tiny.policy), load_policy(tiny.policy)
    one, other = Optimizer(first, config, num_steps=4), Optimizer(second, config, num_steps=4)

    def gradient(model: torch.nn.Module, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)

    gradient(first, 1)
    one.step(0, batch="")
    second.load_state_dict(first.state_dict())
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for model, optimizer in ((first, one), (second, other)):
        gradient(model, 2)
        optimizer.step(1, batch="")
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))
