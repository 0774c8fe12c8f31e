"""Experts spread over processes: each computes its own experts for the frames of all.

Rows travel to the process that owns their expert and back by ``torch.distributed``'s all-to-all (Lepikhin et al. 2020,
section 3); everything else of the block, gates and sums included, stays where the frame is.

Shapes: N frames here, D model, E experts, M slots here, R processes, P slots that came from all of them.
"""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed._functional_collectives import all_to_all_single_autograd

from omni_asr.models.backends import Backend, ExpertWeights, combine, gather
from omni_asr.models.routers import Dispatch


def across(group: dist.ProcessGroup, backend: Backend) -> Backend:
    """The contract of ``omni_asr/models/backends.py`` where ``weights`` are those of this process's experts only."""

    def compute(x_ND: Tensor, gate_NK: Tensor, dispatch: Dispatch, weights: ExpertWeights, dropout: float) -> Tensor:
        ranks, here = dist.get_world_size(group), len(weights.b_in_EH)
        counts_RE = dispatch.counts_E.view(ranks, here)
        theirs_RE = torch.empty_like(counts_RE)
        dist.all_to_all_single(theirs_RE, counts_RE.contiguous(), group=group)
        to_R, from_R = torch.stack([counts_RE.sum(1), theirs_RE.sum(1)]).tolist()  # waits for the device, once
        x_MD = gather(x_ND, gate_NK.shape[1], dispatch)
        x_PD = all_to_all_single_autograd(x_MD, from_R, to_R, group)
        # They come sorted by process and then by expert.
        expert_P = torch.arange(here, device=x_ND.device).repeat(ranks)
        expert_P = expert_P.repeat_interleave(theirs_RE.flatten(), output_size=sum(from_R))
        local = Dispatch(expert_P.argsort(stable=True), theirs_RE.sum(0))
        y_PD = backend(x_PD, x_PD.new_ones(len(x_PD), 1), local, weights, dropout)
        return combine(all_to_all_single_autograd(y_PD, to_R, from_R, group), gate_NK, dispatch)

    return compute
