"""Routers: values worked out by hand, and which weights are shared."""

import math

import pytest
import torch
from model_helpers import random_batch, small_config, small_model

from omni_asr.models.asr_model import count_parameters
from omni_asr.models.moe import MixtureOfExperts
from omni_asr.models.routers import OmniRouter, SwitchRouter

ROUTER_TYPES = ["switch", "omni"]


def hand_router() -> OmniRouter:
    """Two inputs, three experts: logits are (x0, x1, 0.5)."""
    router = OmniRouter(small_config(dim=2), experts=3, layers=1)
    with torch.no_grad():
        router.linear.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        router.linear.bias.copy_(torch.tensor([0.0, 0.0, 0.5]))
    return router


def test_decisions_and_gates_by_hand():
    routing = hand_router()(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]), 0)
    assert routing.expert_N.tolist() == [0, 1, 2]
    totals = [math.e + 1 + math.exp(0.5), 1 + math.exp(2) + math.exp(0.5), 2 + math.exp(0.5)]
    expected = [math.e / totals[0], math.exp(2) / totals[1], math.exp(0.5) / totals[2]]
    assert torch.allclose(routing.gate_N, torch.tensor(expected))
    assert torch.allclose(routing.probs_NE.sum(1), torch.ones(3))


def test_balance_and_z_loss_by_hand():
    routing = hand_router()(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0], [0.0, 1.5]]), 0)
    assert routing.counts_E().tolist() == [1, 3, 0]
    mean_probs = routing.probs_NE.mean(0)
    expected = 3 * (0.25 * mean_probs[0] + 0.75 * mean_probs[1])
    assert torch.allclose(routing.balance(), expected)
    z = [math.log(math.e + 1 + math.exp(0.5))] + [math.log(1 + math.exp(x) + math.exp(0.5)) for x in (2, 1, 1.5)]
    assert routing.z_loss().item() == pytest.approx(sum(v * v for v in z) / 4, rel=1e-5)


def test_even_load_has_balance_one():
    routing = hand_router()(torch.tensor([[3.0, 0.0], [0.0, 3.0], [-3.0, -3.0]]), 0)
    assert routing.counts_E().tolist() == [1, 1, 1]
    assert routing.balance().item() == pytest.approx(1.0)


def test_the_gate_weighs_the_expert():
    config = small_config(dim=2, hidden=3)
    moe, router = MixtureOfExperts(config, 3), hand_router()
    x_ND = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    y_ND, routing = moe(x_ND, router, 0)
    for n, expert in enumerate([0, 1]):
        weights = moe.experts
        hidden = torch.relu(x_ND[n] @ weights.w_in_EDH[expert] + weights.b_in_EH[expert])
        expected = (hidden @ weights.w_out_EHD[expert] + weights.b_out_ED[expert]) * routing.probs_NE[n, expert]
        assert torch.allclose(y_ND[n], expected, atol=1e-6)


def test_omni_has_one_router_per_group_and_switch_one_per_layer():
    omni = small_model(router="omni", experts="2x2-3x4")
    switch = small_model(router="switch", experts="2x2-3x4")
    omni_names = [name for name, _ in omni.named_parameters() if ".router." in name]
    switch_names = [name for name, _ in switch.named_parameters() if ".router." in name]
    assert len(omni_names) == 2 * 2  # two groups, weight and bias
    assert len(switch_names) == 2 * 5  # five layers
    groups = omni.encoder.groups
    assert groups[0].router.linear.weight.data_ptr() != groups[1].router.linear.weight.data_ptr()
    assert [len(group.router.linears) for group in switch.encoder.groups] == [2, 3]
    pointers = {linear.weight.data_ptr() for group in switch.encoder.groups for linear in group.router.linears}
    assert len(pointers) == 5


def test_omni_layers_give_the_same_logits_for_the_same_state_and_switch_layers_do_not():
    h_ND = torch.randn(5, 16)
    omni, switch = OmniRouter(small_config(), 4, 3), SwitchRouter(small_config(), 4, 3)
    assert torch.equal(omni(h_ND, 0).logits_NE, omni(h_ND, 2).logits_NE)
    assert not torch.equal(switch(h_ND, 0).logits_NE, switch(h_ND, 2).logits_NE)


def test_omni_layers_route_on_their_own_state():
    model = small_model(router="omni").eval()
    _, encoded = model.encode(*(lambda b: (b.x_BTF, b.lengths_B))(random_batch([80, 60])))
    logits = [routing.logits_NE for routing in encoded.routings]
    assert len(logits) == 3
    assert not torch.equal(logits[0], logits[1])


def test_dense_has_no_router_and_one_expert_means_dense():
    assert not any(".router." in name for name, _ in small_model(router="dense").named_parameters())
    model = small_model(router="omni", experts="2x1-1x0")
    assert not any(".router." in name or ".experts." in name for name, _ in model.named_parameters())


@pytest.mark.parametrize("router", ROUTER_TYPES)
def test_the_router_stays_in_float32_under_autocast(router):
    model = small_model(router=router)
    batch = random_batch([40])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, encoded = model.encode(batch.x_BTF, batch.lengths_B)
    assert all(routing.logits_NE.dtype == torch.float32 for routing in encoded.routings)
    assert all(routing.gate_N.dtype == torch.float32 for routing in encoded.routings)


def test_jitter_moves_logits_in_training_only():
    router = OmniRouter(small_config(router_jitter=0.5), 4, 1)
    h_ND = torch.randn(6, 16)
    assert not torch.equal(router(h_ND, 0).logits_NE, router(h_ND, 0).logits_NE)
    router.eval()
    assert torch.equal(router(h_ND, 0).logits_NE, router(h_ND, 0).logits_NE)


def test_equal_active_size():
    counts = {router: count_parameters(small_model(router=router)) for router in ("dense", "switch", "omni")}
    routers = {"dense": 0, "switch": 3 * (16 * 4 + 4), "omni": 16 * 4 + 4}
    dense_total, dense_active = counts["dense"]
    assert dense_total == dense_active
    expert = 16 * 32 + 32 + 32 * 16 + 16
    for router in ROUTER_TYPES:
        total, active = counts[router]
        assert active == dense_active + routers[router]
        assert total == active + 3 * 3 * expert  # three layers, three experts beside the active one
