#!/usr/bin/env python3
"""Time the mixture-of-experts block beside the dense block of the same active size and beside other ways to compute it.

Prints a table of ratios (1.00 is the dense block), and writes JSON where --json says. Everything between the layer's
input and its output counts: routing, sorting, gathering, products, biases, gates, combining.

    tools/bench/moe.py                                   4096 frames, D 512, H 2048, 8 experts, fp32, both loads
    tools/bench/moe.py --experts 2 8 64 --dtype float32 bfloat16
    tools/bench/moe.py --memory                          peak memory instead of time, a process for each

Rows: dense; our back ends; mask loop (one boolean mask per expert, as most ports have it); einsum (dispatch by a
one-hot tensor with a capacity of 1.25); transformers (Hugging Face's Switch layer, where it is installed; it has no
biases). The load is balanced (each expert the same number of frames) or skewed (expert e gets a share as 1 / (e + 1)).
"""

import argparse
import json
import math
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout's own package, installed or not

import torch
import torch.nn.functional as F
from side_by_side import describe_machine, time_side_by_side
from torch import Tensor, nn

from omni_asr.config import ModelConfig
from omni_asr.models.backends import BACKENDS, choose_backend, self_test
from omni_asr.models.experts import FeedForward
from omni_asr.models.moe import MixtureOfExperts
from omni_asr.models.routers import Frames, Intervention, make_router

Block = Callable[[Tensor], Tensor]


class FixedLoad(Intervention):
    """Sends frames where a load wants them, after the router has done its work."""

    def __init__(self, expert_N: Tensor) -> None:
        self.expert_NK = expert_N[:, None]

    def experts(self, expert_NK: Tensor, experts: int, layer: int) -> Tensor:
        """The same decision in every pass."""
        return self.expert_NK


def load_of(kind: str, frames: int, experts: int) -> Tensor:
    """Expert of each frame, in no order."""
    weight_E = torch.ones(experts) if kind == "balanced" else 1 / torch.arange(1.0, experts + 1)
    counts_E = (weight_E / weight_E.sum() * frames).floor().long()
    counts_E[0] += frames - counts_E.sum()
    expert_N = torch.repeat_interleave(counts_E)
    return expert_N[torch.randperm(frames, generator=torch.Generator().manual_seed(0))]


class OurBlock(nn.Module):
    """Router, experts of one back end, gate."""

    def __init__(self, config: ModelConfig, experts: int, expert_N: Tensor) -> None:
        super().__init__()
        self.moe = MixtureOfExperts(config, experts)
        self.router = make_router(config, experts, layers=1, inputs=1)
        self.router.intervention = FixedLoad(expert_N)

    def forward(self, x_ND: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        return self.moe(x_ND, lambda h_ND: self.router(Frames(h_ND, 0)))[0]


class MaskLoop(OurBlock):
    """One boolean mask per expert over an indexed weight tensor."""

    def forward(self, x_ND: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        routing = self.router(Frames(x_ND, 0))
        y_ND, w = torch.zeros_like(x_ND), self.moe.experts
        dtype = x_ND.dtype
        for e in range(len(w.b_in_EH)):
            chosen_N = routing.expert_NK[:, 0] == e
            if chosen_N.any():
                hidden = F.relu(x_ND[chosen_N] @ w.w_in_EHD[e].T.to(dtype) + w.b_in_EH[e].to(dtype))
                y_ND[chosen_N] = hidden @ w.w_out_EHD[e].to(dtype) + w.b_out_ED[e].to(dtype)
        return y_ND * routing.gate_NK.to(dtype)


class Einsum(OurBlock):
    """Dispatch by one-hot tensors (Lepikhin et al. 2020), capacity factor 1.25: drops frames when skewed."""

    def forward(self, x_ND: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        routing, w, dtype = self.router(Frames(x_ND, 0)), self.moe.experts, x_ND.dtype
        chosen_NE = F.one_hot(routing.expert_NK[:, 0], len(w.b_in_EH))
        capacity = math.ceil(1.25 * len(x_ND) / len(w.b_in_EH))
        rank_NE = (chosen_NE.cumsum(0) - 1) * chosen_NE
        kept_NE = chosen_NE * (rank_NE < capacity)
        dispatch_NEC = (F.one_hot(rank_NE.clamp(max=capacity - 1), capacity) * kept_NE[..., None]).to(dtype)
        x_ECD = torch.einsum("nec,nd->ecd", dispatch_NEC, x_ND)
        hidden = F.relu(torch.einsum("ecd,ehd->ech", x_ECD, w.w_in_EHD.to(dtype)) + w.b_in_EH[:, None].to(dtype))
        y_ECD = torch.einsum("ech,ehd->ecd", hidden, w.w_out_EHD.to(dtype)) + w.b_out_ED[:, None].to(dtype)
        return torch.einsum("nec,ecd->nd", dispatch_NEC * routing.gate_NK[..., None].to(dtype), y_ECD)


def hugging_face(config: ModelConfig, experts: int, frames: int) -> nn.Module | None:
    """Hugging Face's Switch layer with room for every frame; its own router decides, whatever the load is to be."""
    try:
        from transformers import SwitchTransformersConfig
        from transformers.models.switch_transformers.modeling_switch_transformers import SwitchTransformersSparseMLP
    except ImportError:
        return None
    sizes = {"d_model": config.dim, "d_ff": config.hidden, "num_experts": experts, "expert_capacity": frames}
    layer = SwitchTransformersSparseMLP(SwitchTransformersConfig(**sizes, dropout_rate=0.0, router_jitter_noise=0.0))

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x_ND: Tensor) -> Tensor:
            y = self.layer(x_ND[None])
            return (y[0] if isinstance(y, tuple) else y)[0]

    return Layer()


def blocks(options: argparse.Namespace, experts: int, dtype: torch.dtype, load: str) -> dict[str, nn.Module]:
    """Everything that is compared, by its name in the table."""
    device = torch.device(options.device)
    config = ModelConfig(dim=options.dim, hidden=options.hidden, dropout=0.0)
    expert_N = load_of(load, options.frames, experts).to(device)
    built: dict[str, nn.Module] = {"dense": FeedForward(config, config.hidden)}
    auto = choose_backend("auto", device, dtype, options.dim, options.hidden)
    for name in BACKENDS:
        if not self_test(name, device, dtype, options.dim, options.hidden):
            ours = ModelConfig(dim=options.dim, hidden=options.hidden, dropout=0.0, backend=name)
            built[f"{name} (auto)" if name == auto else name] = OurBlock(ours, experts, expert_N)
    built["mask loop"] = MaskLoop(config, experts, expert_N)
    built["einsum"] = Einsum(config, experts, expert_N)
    other = hugging_face(config, experts, options.frames)
    if other is not None:
        built["transformers"] = other
    return {name: block.to(device) for name, block in built.items()}


def passes(block: nn.Module, x_ND: Tensor, dtype: torch.dtype) -> tuple[Callable[[], object], Callable[[], object]]:
    """The forward pass without gradients, and forward and backward; a half precision runs under autocast."""
    weight_ND = torch.randn_like(x_ND)

    def run() -> Tensor:
        with torch.autocast(x_ND.device.type, dtype=dtype, enabled=dtype != torch.float32):
            return block(x_ND if dtype == torch.float32 else x_ND.to(dtype))

    def forward() -> None:
        with torch.inference_mode():
            run()

    def both() -> None:
        block.zero_grad(set_to_none=True)
        x_ND.grad = None
        run().backward(weight_ND.to(dtype))

    return forward, both


def measure(options: argparse.Namespace, experts: int, dtype: torch.dtype, load: str) -> dict:
    """Ratios to the dense block of every row, and the dense block's times."""
    torch.manual_seed(0)
    built = blocks(options, experts, dtype, load)
    x_ND = torch.randn(options.frames, options.dim, device=options.device, requires_grad=True)
    result: dict = {"experts": experts, "dtype": str(dtype).removeprefix("torch."), "load": load, "rows": {}}
    for which, title in ((0, "forward"), (1, "forward+backward")):
        things = {name: passes(block, x_ND, dtype)[which] for name, block in built.items()}
        timings = time_side_by_side(things, options.rounds)
        for name, timing in timings.items():
            low, high = timing.spread(timings["dense"])
            row = result["rows"].setdefault(name, {})
            row[title] = {"ms": timing.median * 1000, "ratio": timing.ratio(timings["dense"]), "quartiles": [low, high]}
    return result


def show(result: dict) -> None:
    """One table."""
    dense = result["rows"]["dense"]
    milliseconds = ", ".join(f"{title} {dense[title]['ms']:.1f} ms" for title in dense)
    print(f"\n{result['experts']} experts, {result['dtype']}, {result['load']} load (dense: {milliseconds})\n")
    print("| block | forward | forward+backward | quartiles of the latter |\n| --- | ---: | ---: | ---: |")
    for name, row in result["rows"].items():
        both = row["forward+backward"]
        low, high = both["quartiles"]
        print(f"| {name} | {row['forward']['ratio']:.2f} | {both['ratio']:.2f} | {low:.2f} - {high:.2f} |")


def peak_memory(options: argparse.Namespace, name: str, experts: int, queue: "multiprocessing.Queue[int]") -> None:
    """Bytes by which the process grew at most during forward and backward, weights and their gradients included."""
    torch.manual_seed(0)
    before = resident("VmRSS")
    block = blocks_one(options, name, experts)
    x_ND = torch.randn(options.frames, options.dim, requires_grad=True)
    passes(block, x_ND, torch.float32)[1]()
    queue.put(resident("VmHWM") - before)


def blocks_one(options: argparse.Namespace, name: str, experts: int) -> nn.Module:
    """The dense block or one of ours, and nothing else in memory."""
    config = ModelConfig(
        dim=options.dim, hidden=options.hidden, dropout=0.0, backend=name if name != "dense" else "auto"
    )
    if name == "dense":
        return FeedForward(config, config.hidden)
    return OurBlock(config, experts, load_of("balanced", options.frames, experts))


def resident(field: str) -> int:
    """A field of /proc/self/status in bytes: VmRSS now, VmHWM at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise SystemExit("tools/bench/moe.py: error: --memory reads /proc/self/status, which this system does not have")


def compare_memory(options: argparse.Namespace) -> None:
    """Table of peaks; allowed is the dense block, the weights of the other experts with their gradients, and 15 %."""
    one = 4 * (2 * options.dim * options.hidden + options.dim + options.hidden)
    context, results = multiprocessing.get_context("spawn"), []
    for experts in options.experts:
        peaks = {}
        for name in ["dense", *BACKENDS]:
            queue = context.Queue()
            process = context.Process(target=peak_memory, args=(options, name, experts, queue))
            process.start()
            peaks[name] = queue.get()
            process.join()
        allowed = 1.15 * (peaks["dense"] + 2 * (experts - 1) * one)
        print(f"\n{experts} experts, {options.frames} frames: allowed {allowed / 2**20:.0f} MiB\n")
        print("| block | peak, MiB | of what is allowed |\n| --- | ---: | ---: |")
        for name, peak in peaks.items():
            print(f"| {name} | {peak / 2**20:.0f} | {peak / allowed:.2f} |")
        results.append({"experts": experts, "frames": options.frames, "allowed": allowed, "peaks": peaks})
    write(options, results)


def write(options: argparse.Namespace, results: list[dict]) -> None:
    """The JSON beside the tables."""
    if options.json:
        machine = describe_machine(torch.device(options.device))
        sizes = {"frames": options.frames, "dim": options.dim, "hidden": options.hidden, "rounds": options.rounds}
        Path(options.json).write_text(json.dumps({"machine": machine, **sizes, "results": results}, indent=1) + "\n")


def main() -> None:
    """Read the options, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=4096, help="frames N (default 4096)")
    parser.add_argument("--dim", type=int, default=512, help="width D (default 512)")
    parser.add_argument("--hidden", type=int, default=2048, help="width H of an expert (default 2048)")
    parser.add_argument("--experts", type=int, nargs="+", default=[8], help="numbers of experts (default 8)")
    parser.add_argument("--dtype", nargs="+", default=["float32"], choices=["float32", "bfloat16"])
    parser.add_argument("--load", nargs="+", default=["balanced", "skewed"], choices=["balanced", "skewed"])
    parser.add_argument("--rounds", type=int, default=15, help="rounds that count (default 15)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--memory", action="store_true", help="compare peaks of memory on the CPU")
    parser.add_argument("--json", help="file for the figures")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    print(
        describe_machine(torch.device(options.device)), f"{options.frames} frames, D {options.dim}, H {options.hidden}"
    )
    if options.memory:
        return compare_memory(options)
    results = []
    for experts in options.experts:
        for dtype in options.dtype:
            for load in options.load:
                results.append(measure(options, experts, getattr(torch, dtype), load))
                show(results[-1])
                sys.stdout.flush()
    write(options, results)


if __name__ == "__main__":
    main()
