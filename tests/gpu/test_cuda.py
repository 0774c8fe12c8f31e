"""What only a GPU can show; skipped, visibly, without one."""

import pytest
import torch
from model_helpers import random_batch, small_config, small_model
from training_helpers import losses as losses_of
from training_helpers import prepare, run, train_command

from omni_asr.models.backends import BACKENDS, choose_backend
from omni_asr.models.experts import Experts
from omni_asr.models.moe import MixtureOfExperts
from omni_asr.models.routers import ROUTERS, Frames, Routing, make_router
from omni_asr.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that PyTorch can use")


@pytest.mark.parametrize("router", ["dense", *ROUTERS])
def test_the_gpu_computes_what_the_cpu_computes(router):
    batch = random_batch([80, 61, 40])
    changes = {"router": router, "cape_global_shift": 0.0, "cape_local_shift": 0.0}
    on_cpu, on_gpu = small_model(**changes), small_model(**changes).cuda()
    losses = [
        model(batch.to(device)) for model, device in ((on_cpu, torch.device("cpu")), (on_gpu, torch.device("cuda")))
    ]
    assert losses[1].total.item() == pytest.approx(losses[0].total.item(), rel=1e-4)
    for loss in losses:
        loss.total.backward()
    for (name, a), b in zip(on_cpu.named_parameters(), on_gpu.parameters(), strict=True):
        if a.requires_grad:
            assert torch.allclose(a.grad, b.grad.cpu(), atol=1e-3), name


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_back_ends_agree_in_bfloat16(backend):
    torch.manual_seed(0)
    experts = Experts(small_config(dim=64, hidden=128, backend=backend), 4).cuda()
    N = 16384  # so many that sums which are rounded on the way show
    x_ND = torch.randn(N, 64, device="cuda")
    expert_NK = torch.arange(N, device="cuda")[:, None] % 3  # the fourth expert gets nothing
    probs_NE = torch.full((N, 4), 0.25, device="cuda")
    routing = Routing(probs_NE, probs_NE, expert_NK, torch.rand(N, 1, device="cuda"))
    got = _value_and_gradients(experts, x_ND, routing, bfloat16=True)
    experts.backend = "loop"
    for a, b in zip(got, _value_and_gradients(experts, x_ND, routing, bfloat16=False), strict=True):
        assert (a - b).norm() < 0.02 * b.norm()


def _value_and_gradients(experts, x_ND, routing, bfloat16):
    experts.zero_grad()
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=bfloat16):
        y_ND = experts(x_ND, routing).float()
    (y_ND + 1).square().sum().backward()
    return [y_ND.detach(), *(parameter.grad.clone() for parameter in experts.parameters())]


@pytest.mark.parametrize("router", ["dense", *ROUTERS])
def test_a_training_step_in_bfloat16_is_finite(router):
    model = small_model(router=router, dim=64, hidden=128).cuda()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        losses = model(random_batch([80, 61, 40]).to(torch.device("cuda")))
    losses.total.backward()
    assert losses.total.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


def skip_without_grouped_kernel():
    if choose_backend("auto", torch.device("cuda"), torch.bfloat16, 64, 128) != "grouped":
        pytest.skip("grouped products are a loop on this GPU")


def waits_of_the_second(step) -> str:
    """Where the second call of a function waits for the GPU, as PyTorch says it; nothing where it does not."""
    step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    except RuntimeError as error:
        return str(error)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return ""


def test_no_layer_waits_for_the_gpu():
    """Forward and backward of a block in bfloat16, routing included, where one kernel computes grouped products."""
    skip_without_grouped_kernel()
    config = small_config(dim=64, hidden=128)
    moe, router = MixtureOfExperts(config, 4).cuda(), make_router(config, 4, layers=1, inputs=1).cuda()
    x_ND = torch.randn(96, 64, device="cuda", requires_grad=True)

    def step() -> None:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            y_ND, routing = moe(x_ND, lambda h_ND: router(Frames(h_ND, 0)))
            loss = (y_ND * y_ND).sum() + routing.balance()
        loss.backward()

    assert waits_of_the_second(step) == ""
    assert x_ND.grad.isfinite().all()


def test_a_training_step_waits_for_the_gpu_nowhere():
    """Forward, loss and backward of the whole model in bfloat16; the batch is there."""
    skip_without_grouped_kernel()
    model, batch = small_model(dim=64, hidden=128).cuda(), random_batch([80, 61, 40]).to(torch.device("cuda"))

    def step() -> None:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            losses = model(batch)
        losses.total.backward()

    assert waits_of_the_second(step) == ""
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("router", ["dense", "omni"])
def test_training_on_a_gpu_learns_and_goes_on_on_a_cpu(router, tmp_path):
    options, exp_dir = prepare(tmp_path), tmp_path / "exp"
    changes = [f"model.router={router}", "train.epochs=6", "model.balance=bias"]
    result = run([*train_command(options, exp_dir, *changes), "--ngpu", "1"])
    assert result.returncode == 0, result.stderr
    by_step = losses_of(exp_dir)
    assert by_step[max(by_step)] < 0.8 * by_step[min(by_step)]
    assert "time data " in (exp_dir / "train.log").read_text()
    assert "training is complete" in run(train_command(options, exp_dir, *changes)).stderr
    assert load_checkpoint(exp_dir, "last", torch.device("cpu")).config.model.router == router
