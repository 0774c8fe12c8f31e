"""Experts in one autograd function: as fast as the dense block on a CPU.

Plain PyTorch loses time around the matrix products: it writes the hidden layer once for the product, once for the ReLU,
once for its gradient and once for the ReLU's gradient, all of them larger than any cache, and it gathers sorted copies
of input and output. Here every expert's rows are taken, sent through both products, weighed and put back while they are
in the cache, and weight gradients are written where they belong.

Shapes: N frames, D model, H hidden, E experts, K experts per frame, M slots sorted by expert.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from omni_asr.models.routers import Dispatch


@torch.compiler.disable
def fused_experts(
    x_ND: Tensor, gate_NK: Tensor, dispatch: Dispatch, weights: tuple[Tensor, Tensor, Tensor, Tensor], dropout: float
) -> Tensor:
    """The contract of ``omni_asr/models/backends.py``. First derivatives only; waits for the loads on the host."""
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (x_ND, gate_NK, *weights))
    return _Fused.apply(x_ND, gate_NK, *dispatch, *weights, dropout, keep)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_ND: Tensor,
        gate_NK: Tensor,
        slot_M: Tensor,
        counts_E: Tensor,
        w_in_EHD: Tensor,
        b_in_EH: Tensor,
        w_out_EHD: Tensor,
        b_out_ED: Tensor,
        dropout: float,
        keep: bool,
    ) -> Tensor:
        """``keep``: a backward pass may come; without it only one expert's hidden layer is held at a time."""
        N, K = gate_NK.shape
        counts = counts_E.tolist()
        frame_M = slot_M if K == 1 else slot_M % N
        gate_M1 = gate_NK.T.flatten()[slot_M][:, None]
        every_row_once = K == 1 and len(slot_M) == N
        y_ND = torch.empty_like(x_ND) if every_row_once else torch.zeros_like(x_ND)
        hidden, out = [], []
        for e, start, stop in _spans(counts):
            frame_m, hidden_Hm = frame_M[start:stop], _units(x_ND, w_in_EHD.shape[1], stop - start)
            # Not addmm, which would first write the bias to every row: slow while the rows are not in the cache.
            torch.mm(w_in_EHD[e], x_ND.index_select(0, frame_m).T, out=hidden_Hm)
            hidden_Hm.add_(b_in_EH[e][:, None]).relu_()
            if dropout > 0:
                hidden_Hm.mul_(torch.empty_like(hidden_Hm).bernoulli_(1 - dropout).div_(1 - dropout))
            out_mD = torch.mm(hidden_Hm.T, w_out_EHD[e]).add_(b_out_ED[e])
            (y_ND.index_copy_ if K == 1 else y_ND.index_add_)(0, frame_m, out_mD * gate_M1[start:stop])
            if keep:
                hidden.append(hidden_Hm)
                out.append(out_mD)
        if keep:
            ctx.save_for_backward(x_ND, gate_M1, slot_M, w_in_EHD, w_out_EHD, *hidden, *out)
            ctx.counts, ctx.shape, ctx.dropout, ctx.every_row_once = counts, (N, K), dropout, every_row_once
        return y_ND

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_ND: Tensor) -> tuple[Tensor | None, ...]:
        x_ND, gate_M1, slot_M, w_in_EHD, w_out_EHD, *kept = ctx.saved_tensors
        N, K = ctx.shape
        frame_M = slot_M if K == 1 else slot_M % N
        dx_ND = torch.empty_like(x_ND) if ctx.every_row_once else torch.zeros_like(x_ND)
        dgate_KN = gate_M1.new_zeros(K * N)
        dw_in_EHD, dw_out_EHD = torch.empty_like(w_in_EHD), torch.empty_like(w_out_EHD)
        db_in_EH, db_out_ED = w_in_EHD.new_zeros(w_in_EHD.shape[:2]), torch.zeros_like(w_out_EHD[:, 0])
        spans = _spans(ctx.counts)
        for (e, start, stop), hidden_Hm, out_mD in zip(spans, kept[: len(spans)], kept[len(spans) :], strict=True):
            frame_m, gate_m1 = frame_M[start:stop], gate_M1[start:stop]
            x_mD, dy_mD = x_ND.index_select(0, frame_m), dy_ND.index_select(0, frame_m)
            # From the output, which is kept for it: from the hidden layer it would cost two more passes over that.
            dgate_KN[slot_M[start:stop]] = torch.linalg.vecdot(dy_mD, out_mD)
            dy_mD.mul_(gate_m1)
            torch.mm(hidden_Hm, dy_mD, out=dw_out_EHD[e])
            torch.sum(dy_mD, 0, out=db_out_ED[e])
            dhidden_Hm = torch.mm(w_out_EHD[e], dy_mD.T, out=_units(x_ND, len(hidden_Hm), stop - start))
            # Where ReLU or dropout gave 0 the gradient is 0; elsewhere dropout had divided by 1 - dropout.
            torch.ops.aten.threshold_backward(dhidden_Hm, hidden_Hm, 0, grad_input=dhidden_Hm)
            if ctx.dropout > 0:
                dhidden_Hm.div_(1 - ctx.dropout)
            torch.mm(dhidden_Hm, x_mD, out=dw_in_EHD[e])
            torch.sum(dhidden_Hm, 1, out=db_in_EH[e])
            dx_mD = torch.mm(dhidden_Hm.T, w_in_EHD[e])
            (dx_ND.index_copy_ if K == 1 else dx_ND.index_add_)(0, frame_m, dx_mD)
        for e, count in enumerate(ctx.counts):
            if count == 0:
                dw_in_EHD[e].zero_()
                dw_out_EHD[e].zero_()
        return dx_ND, dgate_KN.view(K, N).T, None, None, dw_in_EHD, db_in_EH, dw_out_EHD, db_out_ED, None, None


def _spans(counts: list[int]) -> list[tuple[int, int, int]]:
    """(expert, first row, row after the last) of every expert that has rows."""
    spans, start = [], 0
    for e, count in enumerate(counts):
        if count:
            spans.append((e, start, start + count))
        start += count
    return spans


def _units(like: Tensor, hidden: int, rows: int) -> Tensor:
    """Memory for one expert's hidden layer, (H, m).

    A unit's frames lie together, and units at a distance that is no power of two: in (m, H) with H 2048 the products
    that write it take 14 % longer, since its rows compete for the same places of the cache.
    """
    return like.new_empty(hidden, (rows + 15) // 16 * 16 + 16)[:, :rows]
