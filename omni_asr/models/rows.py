"""Rows of matrices: taking and placing distinct ones, and adding to each row the bias of its expert.

PyTorch's own gradient of an index adds rows one by one in case it repeats. Where it does not, the gradient of taking is
placing; on a CPU that is several times faster, and it is deterministic everywhere. Where it repeats thousands of times,
as that of an expert's bias, adding one by one in bfloat16 rounds the sum away; a matrix product adds in float32.

Shapes: M rows, of which N distinct ones are named by an index; X columns; E experts.
"""

from typing import Any

import torch
from torch import Tensor


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_MX: Tensor, index_N: Tensor) -> Tensor:
        ctx.save_for_backward(index_N)
        ctx.rows = x_MX.shape[0]
        return x_MX.index_select(0, index_N)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (index_N,) = ctx.saved_tensors
        return place_rows(gradients[0], index_N, ctx.rows), None


class _Place(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NX: Tensor, index_N: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(index_N)
        return x_NX.new_zeros(rows, x_NX.shape[1]).index_copy_(0, index_N, x_NX)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (index_N,) = ctx.saved_tensors
        return take_rows(gradients[0], index_N), None, None


class _AddBias(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_MX: Tensor, bias_EX: Tensor, expert_M: Tensor) -> Tensor:
        ctx.save_for_backward(expert_M)
        ctx.experts = len(bias_EX)
        return x_MX + bias_EX.index_select(0, expert_M)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (expert_M,) = ctx.saved_tensors
        is_of_EM = torch.arange(ctx.experts, device=expert_M.device)[:, None] == expert_M
        return gradients[0], is_of_EM.to(gradients[0].dtype) @ gradients[0], None


def take_rows(x_MX: Tensor, index_N: Tensor) -> Tensor:
    """(M, X) -> (N, X): the rows that ``index_N`` names, each at most once."""
    return _Take.apply(x_MX, index_N)


def place_rows(x_NX: Tensor, index_N: Tensor, rows: int) -> Tensor:
    """(N, X) -> (rows, X): row n becomes row ``index_N[n]``, each named at most once; the others are zero."""
    return _Place.apply(x_NX, index_N, rows)


def add_bias(x_MX: Tensor, bias_EX: Tensor, expert_M: Tensor) -> Tensor:
    """(M, X) -> (M, X): to row m is added the bias of expert ``expert_M[m]``."""
    return _AddBias.apply(x_MX, bias_EX, expert_M)
