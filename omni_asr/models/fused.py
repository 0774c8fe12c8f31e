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
        w_in_EDH: Tensor,
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
        rows = len(slot_M) if keep else max(counts)
        hidden_MH, out_MD = x_ND.new_empty(rows, w_in_EDH.shape[2]), x_ND.new_empty(rows, x_ND.shape[1])
        for e, start, stop in _spans(counts):
            here = slice(start, stop) if keep else slice(0, stop - start)
            frame_m, hidden_mH, out_mD = frame_M[start:stop], hidden_MH[here], out_MD[here]
            # Not addmm, which would first write the bias to every row: slow while the rows are not in the cache.
            torch.mm(x_ND.index_select(0, frame_m), w_in_EDH[e], out=hidden_mH)
            hidden_mH.add_(b_in_EH[e]).relu_()
            if dropout > 0:
                hidden_mH.mul_(torch.empty_like(hidden_mH).bernoulli_(1 - dropout).div_(1 - dropout))
            torch.mm(hidden_mH, w_out_EHD[e], out=out_mD)
            weighed_mD = out_mD.add_(b_out_ED[e]) * gate_M1[start:stop]
            (y_ND.index_copy_ if K == 1 else y_ND.index_add_)(0, frame_m, weighed_mD)
        if keep:
            ctx.save_for_backward(x_ND, gate_M1, slot_M, w_in_EDH, w_out_EHD, hidden_MH, out_MD)
            ctx.counts, ctx.shape, ctx.dropout, ctx.every_row_once = counts, (N, K), dropout, every_row_once
        return y_ND

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_ND: Tensor) -> tuple[Tensor | None, ...]:
        x_ND, gate_M1, slot_M, w_in_EDH, w_out_EHD, hidden_MH, out_MD = ctx.saved_tensors
        N, K = ctx.shape
        frame_M = slot_M if K == 1 else slot_M % N
        dx_ND = torch.empty_like(x_ND) if ctx.every_row_once else torch.zeros_like(x_ND)
        dgate_KN = gate_M1.new_zeros(K * N)
        dw_in_EDH, dw_out_EHD = torch.empty_like(w_in_EDH), torch.empty_like(w_out_EHD)
        db_in_EH, db_out_ED = w_in_EDH.new_zeros(len(w_in_EDH), w_in_EDH.shape[2]), torch.zeros_like(w_out_EHD[:, 0])
        most = max(ctx.counts)
        dhidden_CH = torch.empty_like(hidden_MH[:most])
        for e, start, stop in _spans(ctx.counts):
            frame_m, gate_m1, hidden_mH = frame_M[start:stop], gate_M1[start:stop], hidden_MH[start:stop]
            dy_mD = dy_ND.index_select(0, frame_m)
            # From the output, which is kept for it: from the hidden layer it would cost two more passes over that.
            dgate_KN[slot_M[start:stop]] = torch.linalg.vecdot(dy_mD, out_MD[start:stop])
            dy_mD.mul_(gate_m1)
            torch.mm(hidden_mH.T, dy_mD, out=dw_out_EHD[e])
            torch.sum(dy_mD, 0, out=db_out_ED[e])
            dhidden_mH = torch.mm(dy_mD, w_out_EHD[e].T, out=dhidden_CH[: stop - start])
            # Where ReLU or dropout gave 0 the gradient is 0; elsewhere dropout had divided by 1 - dropout.
            torch.ops.aten.threshold_backward(dhidden_mH, hidden_mH, 0, grad_input=dhidden_mH)
            if ctx.dropout > 0:
                dhidden_mH.div_(1 - ctx.dropout)
            torch.mm(x_ND.index_select(0, frame_m).T, dhidden_mH, out=dw_in_EDH[e])
            torch.sum(dhidden_mH, 0, out=db_in_EH[e])
            dx_mD = torch.mm(dhidden_mH, w_in_EDH[e].T)
            (dx_ND.index_copy_ if K == 1 else dx_ND.index_add_)(0, frame_m, dx_mD)
        for e, count in enumerate(ctx.counts):
            if count == 0:
                dw_in_EDH[e].zero_()
                dw_out_EHD[e].zero_()
        return dx_ND, dgate_KN.view(K, N).T, None, None, dw_in_EDH, db_in_EH, dw_out_EHD, db_out_ED, None, None


def _spans(counts: list[int]) -> list[tuple[int, int, int]]:
    """(expert, first row, row after the last) of every expert that has rows."""
    spans, start = [], 0
    for e, count in enumerate(counts):
        if count:
            spans.append((e, start, start + count))
        start += count
    return spans
