"""Expert back ends agree with the plain definition, in value and gradient."""

import pytest
import torch
from model_helpers import small_config

from omni_asr.errors import UserError
from omni_asr.models import backends
from omni_asr.models.backends import BACKENDS, choose_backend, self_test
from omni_asr.models.experts import Experts
from omni_asr.models.routers import Routing

LOADS = {
    "even": torch.arange(24)[:, None] % 4,
    "skewed": torch.tensor([0] * 17 + [1, 2, 3, 2, 1])[:, None],
    "one empty": torch.tensor([0, 1, 3, 3, 0, 1])[:, None],
    "all in one": torch.full((9, 1), 2),
    "single frame": torch.tensor([[1]]),
    "two choices": torch.tensor([[0, 1], [1, 3], [3, 0], [1, 0], [0, 3]]),
}
ALL_BACKENDS = pytest.mark.parametrize("backend", sorted(BACKENDS))


def routing_of(expert_NK: torch.Tensor, capacity: int | None = None) -> Routing:
    """A routing to 4 experts with gates of any size."""
    probs_NE = torch.full((len(expert_NK), 4), 0.25)
    gate_NK = torch.linspace(0.2, 0.9, expert_NK.numel()).view(expert_NK.shape)
    return Routing(probs_NE, probs_NE, expert_NK, gate_NK, capacity)


def plain(experts: Experts, x_ND: torch.Tensor, routing: Routing) -> torch.Tensor:
    """Frame by frame, as the definition reads; an expert takes frames up to the capacity, first choices first."""
    taken = [0] * 4
    rows = [torch.zeros(16, dtype=x_ND.dtype) for _ in x_ND]
    for k in range(routing.expert_NK.shape[1]):
        for n, x in enumerate(x_ND):
            e = int(routing.expert_NK[n, k])
            taken[e] += 1
            if routing.capacity is None or taken[e] <= routing.capacity:
                hidden = torch.relu(x @ experts.w_in_EHD[e].T + experts.b_in_EH[e])
                rows[n] = rows[n] + routing.gate_NK[n, k] * (hidden @ experts.w_out_EHD[e] + experts.b_out_ED[e])
    return torch.stack(rows)


def run(experts: Experts, compute, routing: Routing) -> list[torch.Tensor]:
    """Output and the gradients of frames, gates and weights, of a weighted sum of the output."""
    torch.manual_seed(1)
    x_ND = torch.randn(len(routing.expert_NK), 16, requires_grad=True)
    weight_ND = torch.randn_like(x_ND)
    routing.gate_NK = routing.gate_NK.detach().requires_grad_()
    experts.zero_grad()
    y_ND = compute(x_ND)
    (y_ND * weight_ND).sum().backward()
    return [y_ND.detach(), x_ND.grad, routing.gate_NK.grad, *(p.grad.clone() for p in experts.parameters())]


@ALL_BACKENDS
@pytest.mark.parametrize("capacity", [None, 3])
@pytest.mark.parametrize("load", list(LOADS))
def test_backends_agree_with_the_definition(backend, load, capacity):
    experts, routing = Experts(small_config(backend=backend), 4), routing_of(LOADS[load], capacity)
    torch.nn.init.normal_(experts.b_in_EH), torch.nn.init.normal_(experts.b_out_ED)
    got = run(experts, lambda x: experts(x, routing), routing)
    expected = run(experts, lambda x: plain(experts, x, routing), routing)
    for a, b in zip(got, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@ALL_BACKENDS
def test_an_expert_without_frames_gets_a_zero_gradient(backend):
    experts, routing = Experts(small_config(backend=backend), 4), routing_of(torch.tensor([[0], [1], [3], [3]]))
    for gradient in run(experts, lambda x: experts(x, routing), routing)[3:]:
        assert torch.equal(gradient[2], torch.zeros_like(gradient[2]))
        assert gradient[3].abs().sum() > 0


@ALL_BACKENDS
def test_no_frames_at_all(backend):
    experts, routing = Experts(small_config(backend=backend), 4), routing_of(torch.zeros(0, 1, dtype=torch.int64))
    y_ND, *gradients = run(experts, lambda x: experts(x, routing), routing)
    assert y_ND.shape == (0, 16)
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in gradients)


def test_dropped_frames_come_last_and_get_nothing():
    experts = Experts(small_config(), 4)
    routing = routing_of(torch.tensor([[0], [0], [1], [0], [0]]), capacity=2)
    assert routing.dispatch.slot_M.tolist() == [0, 1, 2]
    assert routing.dispatch.counts_E.tolist() == [2, 1, 0, 0]
    assert routing.counts_E.tolist() == [4, 1, 0, 0], "the load counts what was asked for"
    assert routing.drop_rate().item() == pytest.approx(0.4)
    y_ND = experts(torch.randn(5, 16), routing)
    assert (y_ND[:3].abs().sum(1) > 0).all() and torch.equal(y_ND[3:], torch.zeros(2, 16))


def test_second_choices_are_dropped_before_first_ones():
    routing = routing_of(torch.tensor([[1, 0], [0, 1], [0, 1]]), capacity=2)
    assert sorted(routing.dispatch.slot_M.tolist()) == [0, 1, 2, 4], "of the second choices only frame 1's has room"


@ALL_BACKENDS
def test_dropout_is_drawn_for_every_hidden_unit(backend):
    experts = Experts(small_config(backend=backend, hidden=4096, dropout=0.25), 4)
    with torch.no_grad():
        experts.w_in_EHD.zero_(), experts.b_in_EH.fill_(1.0)
        experts.w_out_EHD.fill_(1 / 4096), experts.b_out_ED.zero_()
    routing = routing_of(torch.arange(24)[:, None] % 4)
    routing.gate_NK = torch.ones(24, 1)
    x_ND = torch.randn(24, 16)
    y_ND = experts(x_ND, routing)
    assert y_ND.min() > 0.8 and y_ND.max() < 1.2 and y_ND.std() > 1e-3, "mean 1, and not constant"
    y_ND.sum().backward()
    assert experts.b_in_EH.grad.sum().item() == pytest.approx(16 * 24, rel=0.05), "the gradient is scaled as the value"
    experts.eval()
    assert torch.allclose(experts(x_ND, routing), torch.ones(24, 16), atol=1e-5)


def test_fused_gradients_against_finite_differences():
    experts = Experts(small_config(backend="fused", dim=4, hidden=6), 3).double()
    x_ND, gate_NK = torch.randn(7, 4).double().requires_grad_(), torch.rand(7, 2).double().requires_grad_()
    probs_NE, expert_NK = torch.rand(7, 3), torch.tensor([[0, 1], [2, 0], [1, 2], [0, 2], [0, 1], [1, 0], [2, 1]])

    def compute(x_ND, gate_NK, *weights):
        names = [name for name, _ in experts.named_parameters()]
        routing = Routing(probs_NE, probs_NE, expert_NK, gate_NK, capacity=4)
        return torch.func.functional_call(experts, dict(zip(names, weights, strict=True)), (x_ND, routing))

    assert torch.autograd.gradcheck(compute, (x_ND, gate_NK, *experts.parameters()))


def test_auto_passes_over_what_fails_the_self_test(monkeypatch, caplog):
    caplog.set_level("INFO")
    backends._choose.cache_clear()
    assert choose_backend("auto", torch.device("cpu"), torch.float32, 16, 32) == "fused"
    assert "back end fused on cpu in float32" in caplog.text
    monkeypatch.setitem(BACKENDS, "fused", lambda x_ND, *rest: BACKENDS["loop"](x_ND, *rest) * 1.01)
    backends._choose.cache_clear()
    assert choose_backend("auto", torch.device("cpu"), torch.float32, 16, 32) == "loop"
    assert "fused does not work on cpu in float32, D 16, H 32: it differs from the loop by" in caplog.text
    with pytest.raises(UserError, match="model.backend: fused does not work on cpu"):
        choose_backend("fused", torch.device("cpu"), torch.float32, 16, 32)
    backends._choose.cache_clear()


def test_the_self_test_reports_what_a_kernel_refuses():
    assert "16 bytes" in self_test("grouped", torch.device("cpu"), torch.float32, 6, 10)
    assert self_test("grouped", torch.device("cpu"), torch.float32, 8, 16) == ""


@pytest.mark.parametrize("backend", ["grouped", "bmm"])
def test_bias_gradients_in_bfloat16_do_not_depend_on_the_number_of_frames(backend):
    """Added one by one in bfloat16, thousands of small terms are rounded away."""
    x_ND, routing = torch.randn(8192, 16), routing_of(torch.arange(8192)[:, None] % 4)
    experts, gradients = Experts(small_config(backend=backend), 4), {}
    for dtype in (torch.bfloat16, torch.float32):
        experts.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            (experts(x_ND, routing).float() + 1).square().sum().backward()
        gradients[dtype] = [experts.b_in_EH.grad.clone(), experts.b_out_ED.grad.clone()]
    for got, expected in zip(*gradients.values(), strict=True):
        assert (got - expected).norm() < 0.02 * expected.norm()


def test_the_self_test_notices_sums_that_are_rounded_on_the_way(monkeypatch):
    monkeypatch.setattr(backends, "add_bias", lambda x_MX, bias_EX, expert_M: x_MX + bias_EX[expert_M])
    assert "differs from the loop" in self_test("grouped", torch.device("cpu"), torch.bfloat16, 16, 32)


def test_the_self_test_draws_nothing_from_the_global_generator():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert self_test("bmm", torch.device("cpu"), torch.float32, 8, 16) == ""
    assert torch.equal(before, torch.get_rng_state())


@ALL_BACKENDS
def test_autocast_reaches_every_back_end(backend):
    experts, routing = Experts(small_config(backend=backend), 4), routing_of(torch.tensor([[0], [1], [3], [3]]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y_ND = experts(torch.randn(4, 16), routing)
    assert y_ND.dtype == torch.bfloat16
