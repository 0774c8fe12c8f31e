"""How one model lies on many processes (``train.parallel``), and how its gradients and weights come together.

Whatever the layout, a step adds up the gradients of the same batches with the same weights, and states on disk hold
whole tensors, so that a training that one layout began, another can continue or decode.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from omni_asr.data.batch import Batch
from omni_asr.errors import UserError
from omni_asr.models.asr_model import AsrModel, Losses
from omni_asr.models.experts import Experts
from omni_asr.training.ranks import Ranks


class Layout:
    """One process: the model as it is."""

    def __init__(self, model: AsrModel, ranks: Ranks) -> None:
        self.model, self.ranks = model, ranks
        self.forward: Callable[[Batch], Losses] = model

    def accumulating(self) -> contextlib.AbstractContextManager[None]:
        """Around a batch whose gradients wait for later batches of the same step."""
        return contextlib.nullcontext()

    def finish_gradients(self) -> None:
        """After the last batch of a step: gradients become those of the whole step on every process."""


class DataParallel(Layout):
    """``ddp``: the whole model on every process (``DistributedDataParallel``)."""

    def __init__(self, model: AsrModel, ranks: Ranks, apart: Iterable[str] = ()) -> None:
        super().__init__(model, ranks)
        # Parameters named in ``apart`` are not the same everywhere.
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, list(apart))
        # Where a layer is dropped in one process and not in another, some parameters get no gradient there.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of 2.13: what replaces broadcast_buffers is not in 2.11
            self.replicated = DistributedDataParallel(
                model,
                broadcast_buffers=False,
                find_unused_parameters=model.config.layer_drop > 0,
                gradient_as_bucket_view=True,  # or gradients would be held twice
            )
        self.forward = self.replicated

    def accumulating(self) -> contextlib.AbstractContextManager[None]:
        """Gradients stay here."""
        return self.replicated.no_sync()

    def finish_gradients(self) -> None:
        """From the mean over processes, which DDP makes, to the sum."""
        scale_gradients(self.model.parameters(), self.ranks.size)


class ExpertParallel(DataParallel):
    """``expert``: each process has its share of the experts; everything else is replicated."""

    def __init__(self, model: AsrModel, ranks: Ranks) -> None:
        _refuse_layer_drop(model, "expert")
        _spread_experts(model, _mesh(model, ranks))
        self.spread = {name for name, parameter in model.named_parameters() if isinstance(parameter, DTensor)}
        super().__init__(model, ranks, self.spread)

    def finish_gradients(self) -> None:
        """An expert's process has seen the frames of all: its gradient is a sum already."""
        named = self.model.named_parameters()
        scale_gradients((p for name, p in named if name not in self.spread), self.ranks.size)


class FullySharded(Layout):
    """``fsdp``: every process keeps a slice of each tensor and gathers a block's when it is its turn (FSDP2)."""

    def __init__(self, model: AsrModel, ranks: Ranks) -> None:
        _refuse_layer_drop(model, "fsdp")
        super().__init__(model, ranks)
        mesh = _mesh(model, ranks)

        def evenly(parameter: nn.Parameter) -> Shard:
            """Along the first dimension that every process gets as much of: experts may be fewer than processes."""
            even = (dim for dim, size in enumerate(parameter.shape) if size % ranks.size == 0)
            return Shard(next(even, 0))

        for group in model.encoder.layer_groups():
            for block in group.blocks:
                fully_shard(block, mesh=mesh, shard_placement_fn=evenly)
        self.sharded = fully_shard(model, mesh=mesh, shard_placement_fn=evenly)
        register_fsdp_forward_method(model, "encode")

    @contextlib.contextmanager
    def _unreduced(self):  # type: ignore[no-untyped-def]
        self.sharded.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            self.sharded.set_requires_gradient_sync(True)

    def accumulating(self) -> contextlib.AbstractContextManager[None]:
        """Gradients stay here, unsharded."""
        return self._unreduced()

    def finish_gradients(self) -> None:
        """From the mean over processes to the sum."""
        scale_gradients(self.model.parameters(), self.ranks.size)


LAYOUTS = {"ddp": DataParallel, "fsdp": FullySharded, "expert": ExpertParallel}


def lay_out(model: AsrModel, parallel: str, ranks: Ranks) -> Layout:
    """Place the model on the processes as ``train.parallel`` says.

    Raises:
        UserError: the layout does not suit the model.
    """
    if ranks.size == 1:
        return Layout(model, ranks)
    layout: Callable[[AsrModel, Ranks], Layout] = LAYOUTS[parallel]
    return layout(model, ranks)


def _mesh(model: AsrModel, ranks: Ranks) -> DeviceMesh:
    return init_device_mesh(next(model.parameters()).device.type, (ranks.size,))


def _spread_experts(model: nn.Module, mesh: DeviceMesh) -> None:
    """Leave to this process its share of the experts of every layer, the first ones to the first process.

    The stacked weights become ``DTensor`` s sharded along the experts, so that states can be put together again.

    Raises:
        UserError: the experts of a layer cannot be shared out evenly.
    """
    group = mesh.get_group()
    for experts in [module for module in model.modules() if isinstance(module, Experts)]:
        count = len(experts.b_in_EH)
        if count % mesh.size():
            raise UserError(
                f"train.parallel expert: {count} experts cannot be spread evenly over {mesh.size()} processes"
            )
        for name, weight in list(experts.named_parameters()):
            setattr(experts, name, nn.Parameter(distribute_tensor(weight.detach(), mesh, [Shard(0)])))
        experts.group = group


def _refuse_layer_drop(model: AsrModel, parallel: str) -> None:
    """A layer that one process skips would let the others wait for it for ever."""
    if model.config.layer_drop > 0:
        raise UserError(f"train.parallel {parallel} cannot drop layers; set model.layer_drop to 0, or parallel to ddp")


# --- tensors that may be spread over the processes ------------------------------------------------------------------


def here(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process holds."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor, keep: bool) -> Tensor:
    """All of a tensor; every rank must ask. Those that do not ``keep`` it get an empty one."""
    if not isinstance(tensor, DTensor):
        return tensor.detach()
    gathered = tensor.full_tensor().detach()
    return gathered.cpu() if keep else gathered.new_empty(0)


def like(value: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor placed as ``parameter`` is; every rank must call it with the same value."""
    if isinstance(parameter, DTensor):
        value = value.to(parameter.device, parameter.dtype)
        return distribute_tensor(value, parameter.device_mesh, parameter.placements)
    return value.to(parameter.device, parameter.dtype, copy=True)


def whole_state(model: nn.Module, keep: bool = True) -> dict[str, Tensor]:
    """The model's state dictionary in whole tensors; every rank must ask, and those that ``keep`` get it."""
    return {name: whole(value, keep) for name, value in model.state_dict().items()}


@torch.no_grad()
def load_whole_state(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy whole tensors into a model of any layout."""
    model.load_state_dict({name: like(state[name], value) for name, value in model.state_dict().items()})


@torch.no_grad()
def hand_out_state(model: nn.Module, state: dict[str, Tensor] | None, ranks: Ranks) -> None:
    """Copy the whole tensors that the first rank has into the models of all."""
    handed = {}
    for name, value in model.state_dict().items():
        handed[name] = ranks.from_first(
            state[name] if state is not None else torch.empty(value.shape, dtype=value.dtype)
        )
    load_whole_state(model, handed)


def optimizer_state(
    optimizer: torch.optim.Optimizer, model: nn.Module, keep: bool = True
) -> dict[str, dict[str, Tensor]]:
    """The optimizer's moments by name of the parameter, in whole tensors; as :func:`whole_state`."""
    named = [(name, optimizer.state[p]) for name, p in model.named_parameters() if p in optimizer.state]
    return {name: {key: whole(value, keep) for key, value in state.items()} for name, state in named}


def load_optimizer_state(
    optimizer: torch.optim.Optimizer, model: nn.Module, state: dict[str, dict[str, Tensor]]
) -> None:
    """The reverse of :func:`optimizer_state`, for any layout."""
    for name, parameter in model.named_parameters():
        if name in state:
            optimizer.state[parameter] = {
                key: like(value, parameter) if value.shape == parameter.shape else value.to(parameter.device, copy=True)
                for key, value in state[name].items()
            }


def gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parts of all gradients that this process holds."""
    return [here(parameter.grad) for parameter in parameters if parameter.grad is not None]


def scale_gradients(parameters: Iterable[Tensor], factor: float | Tensor) -> None:
    """Multiply gradients in place."""
    parts = gradients(parameters)
    if parts:
        torch._foreach_mul_(parts, factor)


def clip_gradients(model: nn.Module, most: float, ranks: Ranks) -> Tensor:
    """Scale all gradients so that their norm is at most ``most``, unless that is 0; returns the norm before."""
    spread = [p for p in model.parameters() if isinstance(p, DTensor)]
    replicated = [p for p in model.parameters() if not isinstance(p, DTensor)]
    norm = torch.nn.utils.get_total_norm(gradients(replicated))
    if spread:
        square = ranks.sum(torch.nn.utils.get_total_norm(gradients(spread)).to(norm).square())
        norm = (norm.square() + square).sqrt()
    if most > 0:
        scale_gradients(model.parameters(), (most / (norm + 1e-6)).clamp(max=1.0))
    return norm
