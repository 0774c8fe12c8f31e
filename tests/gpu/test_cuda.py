"""What only a GPU can show; skipped, visibly, without one."""

import pytest
import torch
from model_helpers import random_batch, small_config, small_model

from omni_asr.models.backends import BACKENDS
from omni_asr.models.experts import Experts
from omni_asr.models.routers import ROUTERS, Routing

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
    x_ND = torch.randn(96, 64, device="cuda")
    expert_NK = torch.arange(96, device="cuda")[:, None] % 3  # the fourth expert gets nothing
    probs_NE = torch.full((96, 4), 0.25, device="cuda")
    routing = Routing(probs_NE, probs_NE, expert_NK, torch.rand(96, 1, device="cuda"))
    with torch.autocast("cuda", dtype=torch.bfloat16):
        got = experts(x_ND.bfloat16(), routing)
    experts.backend = "loop"
    assert torch.allclose(got.float(), experts(x_ND, routing), atol=0.05)


@pytest.mark.parametrize("router", ["dense", *ROUTERS])
def test_a_training_step_in_bfloat16_is_finite(router):
    model = small_model(router=router, dim=64, hidden=128).cuda()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        losses = model(random_batch([80, 61, 40]).to(torch.device("cuda")))
    losses.total.backward()
    assert losses.total.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
