"""Expert back ends agree with the plain definition, in value and gradient."""

import pytest
import torch
from model_helpers import small_config

from omni_asr.models.experts import BACKENDS, Experts, choose_backend


def plain(experts: Experts, x_ND: torch.Tensor, expert_N: torch.Tensor) -> torch.Tensor:
    """Frame by frame, as the definition reads."""
    rows = []
    for x, e in zip(x_ND, expert_N.tolist(), strict=True):
        hidden = torch.relu(x @ experts.w_in_EDH[e] + experts.b_in_EH[e])
        rows.append(hidden @ experts.w_out_EHD[e] + experts.b_out_ED[e])
    return torch.stack(rows)


def run(experts: Experts, compute, expert_N: torch.Tensor) -> list[torch.Tensor]:
    """Output and all gradients of a weighted sum of the output."""
    torch.manual_seed(1)
    x_ND = torch.randn(len(expert_N), 16, requires_grad=True)
    y_ND = compute(x_ND)
    weight = torch.randn(len(expert_N), 16)
    experts.zero_grad()
    (y_ND * weight).sum().backward()
    return [y_ND.detach(), x_ND.grad, *(p.grad.clone() for p in experts.parameters())]


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("choices", ["even", "skewed", "one empty", "all in one", "single frame"])
def test_backends_agree_with_the_definition(backend, choices):
    experts = Experts(small_config(backend=backend), 4)
    expert_N = {
        "even": torch.arange(24) % 4,
        "skewed": torch.tensor([0] * 17 + [1, 2, 3, 2, 1]),
        "one empty": torch.tensor([0, 1, 3, 3, 0, 1]),
        "all in one": torch.full((9,), 2),
        "single frame": torch.tensor([1]),
    }[choices]
    counts_E = torch.bincount(expert_N, minlength=4)
    got = run(experts, lambda x: experts(x, expert_N, counts_E), expert_N)
    expected = run(experts, lambda x: plain(experts, x, expert_N), expert_N)
    for a, b in zip(got, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_an_expert_without_frames_gets_a_zero_gradient(backend):
    experts = Experts(small_config(backend=backend), 4)
    expert_N = torch.tensor([0, 1, 3, 3])
    gradients = run(experts, lambda x: experts(x, expert_N, torch.bincount(expert_N, minlength=4)), expert_N)[2:]
    for gradient in gradients:
        assert torch.equal(gradient[2], torch.zeros_like(gradient[2]))
        assert gradient[3].abs().sum() > 0


def test_auto_takes_the_loop_on_the_cpu():
    assert choose_backend("auto", torch.device("cpu")) == "loop"
    assert choose_backend("grouped", torch.device("cpu")) == "grouped"


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_autocast_reaches_every_back_end(backend):
    experts = Experts(small_config(backend=backend), 4)
    expert_N = torch.tensor([0, 1, 3, 3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y_ND = experts(torch.randn(4, 16), expert_N, torch.bincount(expert_N, minlength=4))
    assert y_ND.dtype == torch.bfloat16
