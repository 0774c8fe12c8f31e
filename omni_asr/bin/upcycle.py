"""Turn a trained dense model into a mixture of experts that gives the same outputs, to train on from.

Every expert starts as a copy of the dense block, the router is fresh and near-uniform, and the experts' outputs are
scaled to undo the gate. Train on with the same options.

Example: omni-asr upcycle exp/dense_base exp/upcycled.pt --router omni --experts 12x8
         ./run.sh --stage 3 --router omni --tag upcycled --set model.experts=12x8 --set train.init=exp/upcycled.pt
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.errors import UserError
from omni_asr.models.asr_model import count_parameters
from omni_asr.models.package import Info, load_package, pack, save_package
from omni_asr.models.upcycle import upcycle


def main(argv: Sequence[str] | None = None) -> None:
    """Read the dense model, write the mixture, print its size."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("model", metavar="DENSE_MODEL", help="model.pt, or an experiment")
    parser.add_argument("out", metavar="OUT.pt", help="file to write")
    parser.add_argument("--router", default="omni", help="router of the mixture")
    parser.add_argument("--experts", required=True, metavar="GROUPS", help="layer groups, such as 12x8")
    parser.add_argument("--set", action="append", default=[], metavar="model.KEY=VALUE", help="another option")
    parser.add_argument("--seed", type=int, default=1, help="seed of the fresh router")
    options = parser.parse_args(argv)
    if Path(options.out).exists():
        raise UserError(f"{options.out} is there already; name a new file, or remove it")
    package = load_package(options.model, torch.device("cpu"))
    changes = [f"model.router={options.router}", f"model.experts={options.experts}", *options.set]
    model, config = upcycle(package, changes, options.seed)
    total, active = count_parameters(model)
    sizes: Info = {"router": config.model.router, "experts": config.model.experts}
    untrained: Info = {"hours": 0, "steps": 0, "epochs": 0, "train_seconds": 0}
    info = {**package.info, **sizes, **untrained, "params_total": total, "params_active": active}
    save_package(options.out, pack(model.state_dict(), config, package.tokenizer, info))
    amounts = f"{total / 1e6:.2f} M parameters, {active / 1e6:.2f} M active"
    print(f"{options.out}: {amounts}; the outputs are the dense model's")


if __name__ == "__main__":
    sys.exit(run_program(main))
