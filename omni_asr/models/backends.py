"""Expert back ends: how the experts of a layer are computed.

A back end takes the N frames of a layer, sends each slot (a choice of a frame) through its expert, weighs the result
with the slot's gate, and adds the slots of a frame up. All back ends share this contract and agree in value and
gradient; ``loop`` is the specification, and ``docs/moe.md`` says which one is fast where.

Shapes: N frames, D model, H hidden, E experts, K experts per frame, M slots that were not dropped, sorted by expert,
C slots of the fullest expert.
"""

import functools
import logging
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from omni_asr.errors import UserError
from omni_asr.models.fused import fused_experts
from omni_asr.models.routers import Dispatch
from omni_asr.models.rows import add_bias, place_rows, take_rows

log = logging.getLogger(__name__)


class ExpertWeights(NamedTuple):
    """``FFN_e(x) = ReLU(x w_in[e]^T + b_in[e]) w_out[e] + b_out[e]`` for every expert."""

    w_in_EHD: Tensor
    b_in_EH: Tensor
    w_out_EHD: Tensor
    b_out_ED: Tensor


Backend = Callable[[Tensor, Tensor, Dispatch, ExpertWeights, float], Tensor]
"""``backend(x_ND, gate_NK, dispatch, weights, dropout) -> y_ND``"""


def loop_experts(x_ND: Tensor, gate_NK: Tensor, dispatch: Dispatch, weights: ExpertWeights, dropout: float) -> Tensor:
    """One expert after the other. ``unbind`` gives every weight slice a gradient of its own size, never padded."""
    pieces = gather(x_ND, gate_NK.shape[1], dispatch).split(dispatch.counts_E.tolist())
    stacks = (weight.unbind(0) for weight in weights)
    outputs = []
    for x, w_in, b_in, w_out, b_out in zip(pieces, *stacks, strict=True):
        hidden = F.dropout(F.relu(F.linear(x, w_in, b_in)), dropout, training=dropout > 0)
        outputs.append(torch.addmm(b_out, hidden, w_out))
    return combine(torch.cat(outputs), gate_NK, dispatch)


def grouped_experts(
    x_ND: Tensor, gate_NK: Tensor, dispatch: Dispatch, weights: ExpertWeights, dropout: float
) -> Tensor:
    """All experts in two grouped matrix products, without waiting for the loads on the host."""
    x_MD = gather(x_ND, gate_NK.shape[1], dispatch)
    offsets_E = dispatch.counts_E.cumsum(0).to(torch.int32)
    expert_M = torch.repeat_interleave(dispatch.counts_E, output_size=len(x_MD))
    hidden_MH = F.grouped_mm(x_MD, weights.w_in_EHD.transpose(1, 2), offs=offsets_E)
    hidden_MH = F.dropout(F.relu(add_bias(hidden_MH, weights.b_in_EH, expert_M)), dropout, training=dropout > 0)
    y_MD = F.grouped_mm(hidden_MH, weights.w_out_EHD, offs=offsets_E)
    return combine(add_bias(y_MD, weights.b_out_ED, expert_M), gate_NK, dispatch)


def bmm_experts(x_ND: Tensor, gate_NK: Tensor, dispatch: Dispatch, weights: ExpertWeights, dropout: float) -> Tensor:
    """All experts in two batched products, padded to the fullest one; waits for its load on the host."""
    x_MD = gather(x_ND, gate_NK.shape[1], dispatch)
    E, C = len(dispatch.counts_E), max(1, int(dispatch.counts_E.max()))
    expert_M = torch.repeat_interleave(dispatch.counts_E, output_size=len(x_MD))
    first_E = dispatch.counts_E.cumsum(0) - dispatch.counts_E
    cell_M = expert_M * C + torch.arange(len(x_MD), device=x_MD.device) - first_E[expert_M]
    x_ECD = place_rows(x_MD, cell_M, E * C).view(E, C, -1)
    hidden_ECH = F.relu(torch.baddbmm(weights.b_in_EH[:, None], x_ECD, weights.w_in_EHD.transpose(1, 2)))
    hidden_ECH = F.dropout(hidden_ECH, dropout, training=dropout > 0)
    y_ECD = torch.baddbmm(weights.b_out_ED[:, None], hidden_ECH, weights.w_out_EHD)
    return combine(take_rows(y_ECD.flatten(0, 1), cell_M), gate_NK, dispatch)


def gather(x_ND: Tensor, choices: int, dispatch: Dispatch) -> Tensor:
    """The frame of every slot, sorted by expert: (N, D) -> (M, D)."""
    return take_rows(x_ND if choices == 1 else x_ND.repeat(choices, 1), dispatch.slot_M)


def combine(y_MD: Tensor, gate_NK: Tensor, dispatch: Dispatch) -> Tensor:
    """Put the slots back, weigh them with their gates, and add up those of a frame: (M, D) -> (N, D)."""
    N, K = gate_NK.shape
    y_KND = place_rows(y_MD, dispatch.slot_M, K * N).view(K, N, y_MD.shape[1]) * gate_NK.T[..., None]
    return y_KND.squeeze(0) if K == 1 else y_KND.sum(0)


BACKENDS: dict[str, Backend] = {
    "loop": loop_experts,
    "fused": fused_experts,
    "grouped": grouped_experts,
    "bmm": bmm_experts,
}


@torch.compiler.assume_constant_result
def choose_backend(wanted: str, device: torch.device, dtype: torch.dtype, dim: int, hidden: int) -> str:
    """The back end to use: ``wanted`` itself, or for ``auto`` the fastest one that passes the self-test.

    Which is fastest where was measured (``tools/bench/moe.py``) and does not change from run to run, so that a training
    that goes on after an interruption computes what it would have computed. Decided once, and logged.

    Raises:
        UserError: ``wanted`` does not work for this device, precision and size.
    """
    return _choose(wanted, device.type, device.index, dtype, dim, hidden)


@functools.cache
def _choose(wanted: str, device_type: str, index: int | None, dtype: torch.dtype, dim: int, hidden: int) -> str:
    device = torch.device(device_type) if index is None else torch.device(device_type, index)
    what = f"{device_type} in {str(dtype).removeprefix('torch.')}, D {dim}, H {hidden}"
    reason = ""
    for name in [wanted] if wanted != "auto" else _by_speed(device, dtype):
        reason = self_test(name, device, dtype, dim, hidden)
        if not reason:
            log.info("experts: back end %s on %s", name, what)
            return name
        log.info("experts: back end %s does not work on %s: %s", name, what, reason)
    raise UserError(f"model.backend: {wanted} does not work on {what}: {reason}; leave it at auto")


def _by_speed(device: torch.device, dtype: torch.dtype) -> list[str]:
    if device.type == "cpu":
        return ["fused", "loop"]
    # One kernel computes grouped products in bfloat16 on these; elsewhere they are a loop that waits for the host.
    one_kernel = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] in (9, 10)
    # Of the two that are left, ``bmm`` needs up to E times the memory and the time where the load is uneven.
    return ["grouped", "loop"] if one_kernel and dtype == torch.bfloat16 else ["loop"]


def self_test(name: str, device: torch.device, dtype: torch.dtype, dim: int, hidden: int) -> str:
    """Compare a back end with ``loop`` in float32, value and gradient; says what is wrong, or nothing.

    Top-1 and top-2, an idle expert, dropped slots; the norm of each difference is held against that of the value. A few
    frames do in float32; in less, so many that sums which are rounded on the way show.
    """
    alone = torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)
    plain = torch.autocast(device.type, enabled=False)
    # The hooks keep the test out of the books of activation checkpointing, in whose first pass it may run.
    with torch.inference_mode(False), torch.enable_grad(), plain, alone:
        worst = 0.0
        for choices in (1, 2):
            inputs = _test_inputs(12 if dtype.itemsize >= 4 else 4096, choices, device, dtype, dim, hidden)
            try:
                got = _try_out(BACKENDS[name], choices, inputs)
            except (RuntimeError, NotImplementedError, AttributeError) as error:
                return str(error).splitlines()[0]
            expected = _try_out(loop_experts, choices, [x.detach().float().requires_grad_() for x in inputs])
            worst = max(worst, *(float((a - b).norm() / b.norm()) for a, b in zip(got, expected, strict=True)))
    allowed = 8 * torch.finfo(dtype).eps if dtype.itemsize < 4 else 1e-4
    return "" if worst <= allowed else f"it differs from the loop by {worst:.1g}"


def _test_inputs(
    frames: int, choices: int, device: torch.device, dtype: torch.dtype, dim: int, hidden: int
) -> list[Tensor]:
    """Frames, gates, and weights of three experts; draws nothing from the global generator."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(frames, dim), (frames, choices), (3, hidden, dim), (3, hidden), (3, hidden, dim), (3, dim)]
    values = [torch.randn(*shape, generator=generator) * shape[-2] ** -0.5 for shape in shapes]
    return [value.to(device, dtype).requires_grad_() for value in values]


def _try_out(backend: Backend, choices: int, inputs: list[Tensor]) -> list[Tensor]:
    """Output and gradients where one expert is idle and two slots are dropped."""
    x_ND, gate_NK, *weights = inputs
    slots = gate_NK.numel() - 2
    counts_E = torch.tensor([slots - 5, 0, 5], device=x_ND.device)
    slot_M = torch.arange(slots, device=x_ND.device).flip(0)
    y_ND = backend(x_ND, gate_NK, Dispatch(slot_M, counts_E), ExpertWeights(*weights), 0.0)
    gradients = torch.autograd.grad(y_ND.float().square().sum(), inputs)
    return [y_ND.detach().float(), *(gradient.float() for gradient in gradients)]
