"""Routers: values worked out by hand, and which weights are shared."""

import math

import pytest
import torch
from model_helpers import random_batch, small_config, small_model

from omni_asr.errors import UserError
from omni_asr.models import backends
from omni_asr.models.asr_model import count_parameters
from omni_asr.models.moe import MixtureOfExperts
from omni_asr.models.routers import ROUTERS, Frames, OmniRouter, SwitchRouter, make_router
from omni_asr.scoring import runs

ROUTER_TYPES = ["switch", "omni"]
INPUTS = 32


def hand_router() -> OmniRouter:
    """Two inputs, three experts: logits are (x0, x1, 0.5)."""
    router = OmniRouter(small_config(dim=2), experts=3, layers=1, inputs=INPUTS)
    with torch.no_grad():
        router.linears[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        router.linears[0].bias.copy_(torch.tensor([0.0, 0.0, 0.5]))
    return router


def test_decisions_and_gates_by_hand():
    routing = hand_router()(Frames(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]), 0))
    assert routing.expert_NK.tolist() == [[0], [1], [2]]
    totals = [math.e + 1 + math.exp(0.5), 1 + math.exp(2) + math.exp(0.5), 2 + math.exp(0.5)]
    expected = [math.e / totals[0], math.exp(2) / totals[1], math.exp(0.5) / totals[2]]
    assert torch.allclose(routing.gate_NK[:, 0], torch.tensor(expected))
    assert torch.allclose(routing.probs_NE.sum(1), torch.ones(3))


def test_balance_and_z_loss_by_hand():
    routing = hand_router()(Frames(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0], [0.0, 1.5]]), 0))
    assert routing.counts_E.tolist() == [1, 3, 0]
    mean_probs = routing.probs_NE.mean(0)
    expected = 3 * (0.25 * mean_probs[0] + 0.75 * mean_probs[1])
    assert torch.allclose(routing.balance(), expected)
    z = [math.log(math.e + 1 + math.exp(0.5))] + [math.log(1 + math.exp(x) + math.exp(0.5)) for x in (2, 1, 1.5)]
    assert routing.z_loss().item() == pytest.approx(sum(v * v for v in z) / 4, rel=1e-5)


def test_even_load_has_balance_one():
    routing = hand_router()(Frames(torch.tensor([[3.0, 0.0], [0.0, 3.0], [-3.0, -3.0]]), 0))
    assert routing.counts_E.tolist() == [1, 1, 1]
    assert routing.balance().item() == pytest.approx(1.0)


def test_the_gate_weighs_the_expert():
    config = small_config(dim=2, hidden=3)
    moe, router = MixtureOfExperts(config, 3), hand_router()
    x_ND = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    y_ND, routing = moe(x_ND, lambda h_ND: router(Frames(h_ND, 0)))
    for n, expert in enumerate([0, 1]):
        weights = moe.experts
        hidden = torch.relu(weights.w_in_EHD[expert] @ x_ND[n] + weights.b_in_EH[expert])
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
    assert groups[0].router.linears[0].weight.data_ptr() != groups[1].router.linears[0].weight.data_ptr()
    assert [len(group.router.linears) for group in switch.encoder.groups] == [2, 3]
    pointers = {linear.weight.data_ptr() for group in switch.encoder.groups for linear in group.router.linears}
    assert len(pointers) == 5


def test_omni_layers_give_the_same_logits_for_the_same_state_and_switch_layers_do_not():
    h_ND = torch.randn(5, 16)
    omni, switch = OmniRouter(small_config(), 4, 3, INPUTS), SwitchRouter(small_config(), 4, 3, INPUTS)
    assert torch.equal(omni(Frames(h_ND, 0)).logits_NE, omni(Frames(h_ND, 2)).logits_NE)
    assert not torch.equal(switch(Frames(h_ND, 0)).logits_NE, switch(Frames(h_ND, 2)).logits_NE)


def test_omni_layers_route_on_their_own_state():
    model = small_model(router="omni").eval()
    _, encoded = model.encode(*(lambda b: (b.x_BTF, b.lengths_B))(random_batch([80, 60])))
    logits = [routing.logits_NE for routing in encoded.routings]
    assert len(logits) == 3
    assert not torch.equal(logits[0], logits[1])


def test_dense_has_no_router_and_one_expert_means_dense():
    assert not any(".router." in name for name, _ in small_model(router="dense").named_parameters())
    with pytest.raises(UserError, match="--router omni has nothing to route, since model.experts is 2x1-1x0; use"):
        small_model(router="omni", experts="2x1-1x0")


@pytest.mark.parametrize("router", ROUTER_TYPES)
def test_the_router_stays_in_float32_under_autocast(router):
    model = small_model(router=router)
    batch = random_batch([40])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, encoded = model.encode(batch.x_BTF, batch.lengths_B)
    assert all(routing.logits_NE.dtype == torch.float32 for routing in encoded.routings)
    assert all(routing.gate_NK.dtype == torch.float32 for routing in encoded.routings)


def test_jitter_moves_logits_in_training_only():
    router = OmniRouter(small_config(router_jitter=0.5), 4, 1, INPUTS)
    h_ND = torch.randn(6, 16)
    assert not torch.equal(router(Frames(h_ND, 0)).logits_NE, router(Frames(h_ND, 0)).logits_NE)
    router.eval()
    assert torch.equal(router(Frames(h_ND, 0)).logits_NE, router(Frames(h_ND, 0)).logits_NE)


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


# --- every router -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("router", ["dense", *ROUTERS])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"top_k": 2},
        {"balance": "bias"},
        {"score": "sigmoid"},
        {"score": "cosine"},
        {"shared_experts": 1, "capacity_factor": 1.0},
        {"recompute": True, "router_jitter": 0.1, "z_loss_weight": 1e-3},
        {"force_balanced": True, "balance": "none", "layer_drop": 0.2},
    ],
    ids=str,
)
def test_a_training_step_gives_every_parameter_a_finite_gradient(router, changes):
    try:
        model = small_model(router=router, experts="1x0-2x3-2x4", **changes)
    except UserError as error:
        assert "contradict" in str(error)
        assert router in ("hash", "omni_lowrank")
        return
    losses = model(random_batch([80, 61, 40, 77]))
    losses.total.backward()
    assert losses.total.isfinite()
    dropped = changes.get("layer_drop", 0) > 0
    for name, parameter in model.named_parameters():
        if router == "random" and ".router." in name:
            assert not parameter.requires_grad
        elif not dropped or parameter.grad is not None:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    if router == "dense":
        assert losses.load_LE == {} and losses.balance == 0
    elif not dropped:
        assert [len(load_E) for load_E in losses.load_LE.values()] == [3, 3, 4, 4]
        assert all(load_E.sum().item() == pytest.approx(1) for load_E in losses.load_LE.values())


NOISE = (
    "a router that draws noise draws it under `if self.training`, as router_jitter in Router.forward does, and from "
    "PyTorch's own generator (torch.randn_like): decoding must not change from call to call, and recomputed "
    "activations draw the same again"
)


@pytest.mark.parametrize("name", list(ROUTERS))
def test_noise_is_drawn_in_training_only(name):
    assert_noise_in_training_only(make_router(small_config(router=name), 4, 2, INPUTS))


def assert_noise_in_training_only(router):
    frames = [Frames(torch.randn(6, 16), layer, torch.randn(6, INPUTS)) for layer in range(2)]
    router.eval()
    assert all(torch.equal(router.logits(one), router.logits(one)) for one in frames), NOISE
    router.train()
    with torch.random.fork_rng():
        twice = [(torch.manual_seed(3), [router.logits(one) for one in frames])[1] for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*twice, strict=True)), NOISE


def test_the_test_of_noise_tells_where_it_belongs():
    class Noisy(OmniRouter):
        def logits(self, frames):
            logits_NE = super().logits(frames)
            return logits_NE + 0.1 * torch.randn_like(logits_NE)

    class NoisyInTraining(OmniRouter):
        def logits(self, frames):
            logits_NE = super().logits(frames)
            return logits_NE + 0.1 * torch.randn_like(logits_NE) if self.training else logits_NE

    assert_noise_in_training_only(NoisyInTraining(small_config(), 4, 2, INPUTS))
    with pytest.raises(AssertionError, match="under `if self.training`, as router_jitter in Router.forward does"):
        assert_noise_in_training_only(Noisy(small_config(), 4, 2, INPUTS))


def test_every_router_has_a_place_in_tables():
    assert ["dense", *ROUTERS] == runs.ROUTERS, "omni_asr/scoring/runs.py orders the rows of tables by this list"


@pytest.mark.parametrize("router", list(ROUTERS))
def test_an_utterance_alone_gives_the_same_as_in_a_batch(router):
    model = small_model(router=router, top_k=2, capacity_factor=0.5).eval()
    batch = random_batch([80, 61])
    together, _ = model.encode(batch.x_BTF, batch.lengths_B)
    alone, _ = model.encode(batch.x_BTF[1:, :61], batch.lengths_B[1:])
    assert torch.allclose(together[1, : alone.shape[1]], alone[0], atol=1e-5), "a decision depends on the batch"


@pytest.mark.parametrize("router", list(ROUTERS))
def test_recomputed_activations_change_nothing_and_count_once(router):
    batch, results = random_batch([80, 61]), []
    backends._choose.cache_clear()  # the self-test must not get into the books of the recomputation
    for recompute in (True, False):
        model = small_model(router=router, recompute=recompute, dropout=0.1, balance="none")
        torch.manual_seed(7)
        losses = model(batch)
        losses.total.backward()
        gradients = [p.grad for p in model.parameters() if p.requires_grad]
        results.append([losses.total.detach(), *losses.load_LE.values(), *gradients])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, atol=1e-6), NOISE


def routers_of(**changes):
    return make_router(small_config(**changes), 4, 4, INPUTS)


def test_omni_blocks_share_within_and_differ_between():
    router, h_ND = routers_of(router="omni", router_block=2), torch.randn(5, 16)
    logits = [router(Frames(h_ND, layer)).logits_NE for layer in range(4)]
    assert len(router.linears) == 2
    assert torch.equal(logits[0], logits[1]) and torch.equal(logits[2], logits[3])
    assert not torch.equal(logits[1], logits[2])


def test_low_rank_at_zero_is_omni():
    torch.manual_seed(0)
    omni = routers_of(router="omni")
    torch.manual_seed(0)
    low = routers_of(router="omni_lowrank", router_rank=0)
    h_ND = torch.randn(5, 16)
    assert sum(p.numel() for p in low.parameters()) == sum(p.numel() for p in omni.parameters())
    assert all(torch.equal(low(Frames(h_ND, n)).logits_NE, omni(Frames(h_ND, n)).logits_NE) for n in range(4))


def test_low_rank_at_full_rank_can_be_any_switch():
    switch, low = routers_of(router="switch"), routers_of(router="omni_lowrank", router_rank=4)
    with torch.no_grad():
        for linear in switch.linears:
            linear.bias.normal_()
        for linear, down, up in zip(switch.linears, low.down, low.up, strict=True):
            down.weight.copy_(linear.weight - low.linear.weight)
            down.bias.copy_(linear.bias - low.linear.bias)
            up.copy_(torch.eye(4))
    h_ND = torch.randn(5, 16)
    for layer in range(4):
        expected = switch(Frames(h_ND, layer)).logits_NE
        assert torch.allclose(low(Frames(h_ND, layer)).logits_NE, expected, atol=1e-5)


def test_low_rank_starts_as_omni_and_learns_per_layer():
    model = small_model(router="omni_lowrank", router_rank=2)
    router = model.encoder.groups[0].router
    h_ND = torch.randn(5, 16)
    assert torch.equal(router(Frames(h_ND, 0)).logits_NE, router(Frames(h_ND, 2)).logits_NE)
    model(random_batch([80, 61])).total.backward()
    assert len({up.grad.sum().item() for up in router.up}) == 3


def test_decision_routes_once_for_the_group():
    model = small_model(router="decision", experts="3x4-2x4").eval()
    batch = random_batch([80, 60])
    _, encoded = model.encode(batch.x_BTF, batch.lengths_B)
    first, second, third, other, last = encoded.routings
    assert first is second is third and other is last and other is not first
    assert first.dispatch is third.dispatch, "one sort for the whole group"


def test_the_first_layer_that_runs_decides():
    router, h_ND = routers_of(router="decision"), torch.randn(5, 16)
    decided = router(Frames(h_ND, 1))
    assert router(Frames(torch.randn(5, 16), 2, previous=decided)) is decided


def test_hash_looks_at_the_input_frame_alone_and_weighs_nothing():
    router, x_NX = routers_of(router="hash", top_k=2), torch.randn(5, INPUTS)
    one, two = (router(Frames(torch.randn(5, 16), layer, x_NX)) for layer in (0, 3))
    assert torch.equal(one.expert_NK, two.expert_NK)
    assert torch.equal(one.gate_NK, torch.full((5, 2), 0.5))
    assert list(router.parameters()) == [] and "projection_XE" in router.state_dict()


def test_random_is_omni_that_never_learns():
    model = small_model(router="random")
    assert isinstance(model.encoder.groups[0].router, OmniRouter)
    frozen = [p for name, p in model.named_parameters() if ".router." in name]
    assert frozen and not any(p.requires_grad for p in frozen)


# --- options that go with any router ------------------------------------------------------------------------------


def test_top_k_takes_the_best_and_gates_sum_to_one():
    router = routers_of(top_k=3)
    routing = router(Frames(torch.randn(6, 16), 0))
    best = routing.probs_NE.sort(descending=True)
    assert torch.equal(routing.expert_NK, best.indices[:, :3])
    assert torch.allclose(routing.gate_NK, best.values[:, :3] / best.values[:, :3].sum(1, keepdim=True))
    assert routing.load_E.sum().item() == pytest.approx(1)


def test_top_1_gate_is_the_score_and_not_renormalised():
    routing = routers_of()(Frames(torch.randn(6, 16), 0))
    assert torch.equal(routing.gate_NK[:, 0], routing.probs_NE.max(1).values) and (routing.gate_NK < 1).all()


def test_sigmoid_scores():
    routing = routers_of(score="sigmoid")(Frames(torch.randn(6, 16), 0))
    assert torch.allclose(routing.gate_NK[:, 0], routing.logits_NE.sigmoid().max(1).values)
    assert torch.allclose(routing.probs_NE.sum(1), torch.ones(6))


def test_cosine_scores_do_not_depend_on_length():
    router, h_ND = routers_of(score="cosine"), torch.randn(6, 16)
    logits_NE = router(Frames(h_ND, 0)).logits_NE
    assert torch.allclose(logits_NE, router(Frames(7 * h_ND, 0)).logits_NE, atol=1e-5)
    cosine = torch.nn.functional.cosine_similarity(h_ND[:, None], router.linears[0].weight[None], dim=2)
    assert torch.allclose(logits_NE, 10 * cosine, atol=1e-4)


def test_a_router_that_nothing_changes_costs_no_balance_loss():
    batch, costs = random_batch([80, 61]), {}
    for router in ("hash", "omni"):
        losses = small_model(router=router, balance="aux", balance_weight=0.1).eval()(batch)
        costs[router] = (losses.total - losses.ctc).item(), 0.1 * losses.balance.item()
    assert costs["hash"][0] == 0
    assert costs["omni"][0] == pytest.approx(costs["omni"][1], rel=1e-4) and costs["omni"][0] > 0.05


def test_bias_moves_the_load_towards_balance_and_never_enters_the_gate():
    torch.manual_seed(0)
    router, h_ND = routers_of(balance="bias", bias_rate=0.02), torch.randn(400, 16)
    with torch.no_grad():
        router.linears[0].bias.copy_(torch.tensor([1.0, 0.0, 0.0, -1.0]))
    before = router(Frames(h_ND, 2))
    for _ in range(60):
        router.move_bias(2, router(Frames(h_ND, 2)).load_E)
    after = router(Frames(h_ND, 2))
    assert before.load_E.max() > 0.8 and after.load_E.max() < 0.32 and after.load_E.min() > 0.17
    assert torch.equal(before.probs_NE, after.probs_NE)
    assert torch.equal(after.gate_NK, after.probs_NE.gather(1, after.expert_NK))
    assert torch.equal(router.bias_LE[[0, 1, 3]], torch.zeros(3, 4)), "the biases of other layers stay"
    assert "bias_LE" in router.state_dict() and not any(p is router.bias_LE for p in router.parameters())


def test_bias_starts_from_the_layer_that_the_load_is_of():
    model = small_model(router="omni", experts="1x0-2x2-2x4", balance="bias", bias_rate=0.1)
    model.encoder.move_biases({1: torch.tensor([0.9, 0.1]), 3: torch.tensor([0.7, 0.1, 0.1, 0.1])})
    first, second = model.encoder.routers()
    assert torch.allclose(first.bias_LE, torch.tensor([[0, 0], [-0.1, 0.1]]))
    assert torch.allclose(second.bias_LE, torch.tensor([[0, 0, 0, 0], [-0.1, 0.1, 0.1, 0.1]]))


def test_balance_loss_counts_only_where_it_is_asked_for():
    batch = random_batch([80, 61])
    losses = {how: small_model(balance=how, balance_weight=10.0)(batch) for how in ("aux", "bias", "none")}
    assert (losses["aux"].total - losses["aux"].ctc).item() == pytest.approx(
        10 * losses["aux"].balance.item(), rel=1e-4
    )
    for how in ("bias", "none"):
        assert losses[how].total.item() == pytest.approx(losses[how].ctc.item()) and losses[how].balance > 0


def test_capacity_binds_in_training_only():
    router, h_ND = routers_of(capacity_factor=0.5, top_k=2), torch.randn(10, 16)
    assert router(Frames(h_ND, 0)).capacity == 3  # ceil(0.5 * 10 * 2 / 4)
    assert router(Frames(h_ND, 0)).drop_rate() > 0.3
    assert router.eval()(Frames(h_ND, 0)).capacity is None


def test_forced_balance_sends_the_same_number_everywhere():
    routing = routers_of(force_balanced=True, top_k=2)(Frames(torch.randn(10, 16), 0))
    assert routing.counts_E.tolist() == [5, 5, 5, 5]
    assert torch.equal(routing.expert_NK.sort(1).values.diff(dim=1).abs().min(), torch.tensor(1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"router": "omny"}, "model.router is 'omny', but must be one of dense, switch, omni, "),
        ({"router": "hahs"}, "did you mean hash?"),
        ({"top_k": 5}, "model.top_k (5) is more than the 4 experts"),
        ({"router": "switch", "router_block": 2}, "model.router_block is for --router omni"),
        ({"router": "omni_lowrank", "score": "cosine"}, "cosine has no low-rank form"),
        ({"score": "sigmoid", "z_loss_weight": 0.1}, "z_loss_weight is for scores that are a softmax"),
        ({"router": "hash", "score": "sigmoid"}, "--router hash learns nothing"),
        ({"router": "hash", "balance": "bias"}, "would change what --router hash has fixed"),
        ({"force_balanced": True, "balance": "bias"}, "leaves nothing to balance"),
    ],
)
def test_contradictions_are_refused_in_one_line(changes, message):
    with pytest.raises(UserError) as error:
        small_model(**changes)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_dense_model_takes_any_routing_options():
    model = small_model(router="dense", top_k=5, router_block=3, score="sigmoid", z_loss_weight=0.1)
    assert count_parameters(model)[0] == count_parameters(small_model(router="dense"))[0]


def test_active_parameters_count_the_chosen_and_the_shared():
    expert = 16 * 32 + 32 + 32 * 16 + 16
    _, one = count_parameters(small_model())
    assert count_parameters(small_model(top_k=2))[1] == one + 3 * expert
    shared = 16 * 64 + 64 + 64 * 16 + 16
    total, active = count_parameters(small_model(shared_experts=2))
    assert active == one + 3 * shared and total == active + 3 * 3 * expert
