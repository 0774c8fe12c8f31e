"""The schedule, and what weight decay applies to."""

import pytest
import torch
from model_helpers import small_model

from omni_asr.config import OptimConfig
from omni_asr.training.layout import clip_gradients
from omni_asr.training.optim import learning_rate, make_optimizer
from omni_asr.training.ranks import Ranks


def rates(config: OptimConfig, total: int) -> list[float]:
    return [learning_rate(step, total, config) for step in range(total)]


def test_warm_up_hold_and_linear_fall():
    got = rates(OptimConfig(lr=1.0, warmup_steps=4, hold_steps=2, schedule="linear", final_lr=0.1), 11)
    assert got[:4] == [0.25, 0.5, 0.75, 1.0]
    assert got[4:7] == [1.0, 1.0, 1.0]
    assert got[-1] == pytest.approx(0.1)
    falls = [a - b for a, b in zip(got[6:], got[7:], strict=False)]
    assert falls == pytest.approx([falls[0]] * len(falls))


def test_cosine_ends_at_the_final_rate():
    got = rates(OptimConfig(lr=1.0, warmup_steps=1, schedule="cosine", final_lr=0.2), 12)
    assert got[0] == 1.0
    assert got[-1] == pytest.approx(0.2)
    assert all(a >= b for a, b in zip(got, got[1:], strict=False))


def test_step_falls_by_a_factor():
    config = OptimConfig(lr=1.0, warmup_steps=2, schedule="step", decay_steps=3, decay_factor=0.5, final_lr=0.2)
    assert rates(config, 12) == [0.5, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2]


@pytest.mark.parametrize(("most", "norm"), [(0.5, 0.5), (100.0, 10.0), (0.0, 10.0)])
def test_gradients_are_clipped_unless_the_largest_norm_is_0(most, norm):
    model = torch.nn.Linear(3, 1, bias=False)
    model.weight.grad = torch.tensor([[0.0, 6.0, 8.0]])
    assert clip_gradients(model, most, Ranks()) == pytest.approx(10.0)
    assert float(model.weight.grad.norm()) == pytest.approx(norm, rel=1e-5)


def test_decay_on_matrices_only():
    model = small_model(router="omni")
    groups = make_optimizer(model, OptimConfig(weight_decay=0.1)).param_groups
    decayed = {id(p) for p in groups[0]["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in decayed}
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert all(name.endswith("weight") or ".w_" in name for name in names)
    assert not any("norm" in name or "bias" in name or ".b_" in name for name in names)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
