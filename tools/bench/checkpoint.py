#!/usr/bin/env python3
"""Measure a saved state: bytes, and seconds to write, check and read it, for models of several sizes.

tools/bench/checkpoint.py                               egs/mini, 84m and 8x84m
tools/bench/checkpoint.py --config conf/a.yaml conf/b.yaml --folder /where/checkpoints/will/be
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout's own package, installed or not

import torch
from side_by_side import describe_machine

from omni_asr.config import load_config
from omni_asr.models.asr_model import AsrModel, count_parameters
from omni_asr.training.averages import Averages
from omni_asr.training.checkpoint import Checkpoints, Position
from omni_asr.training.layout import optimizer_state, whole_state
from omni_asr.training.optim import make_optimizer

EGS = Path(__file__).parents[2] / "egs"
CONFIGS = [EGS / "mini/conf/base.yaml", EGS / "TEMPLATE/conf/84m.yaml", EGS / "TEMPLATE/conf/8x84m.yaml"]


def measure(path: Path, vocab_size: int, folder: str | None) -> dict:
    """Figures of one configuration, after one step."""
    config = load_config(path)
    model = AsrModel(config.model, 80, vocab_size)
    optimizer = make_optimizer(model, config.optim)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    averages = Averages(model, config.train.running_average, config.train.ema)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        checkpoints = Checkpoints(place)
        started = time.perf_counter()
        parts = {"model": whole_state(model), "optimizer": optimizer_state(optimizer, model)}
        checkpoints.save_state(Position(step=1), {**parts, "averages": averages.state()})
        saved = time.perf_counter()
        assert checkpoints.load_state() is not None
        loaded = time.perf_counter()
        size = checkpoints.states()[0].stat().st_size
    total, _ = count_parameters(model)
    seconds = {"save_s": saved - started, "load_s": loaded - saved}
    return {"config": path.stem, "router": config.model.router, "parameters": total, "bytes": size, **seconds}


def main() -> None:
    """Print the table and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, nargs="+", default=CONFIGS, help="configurations")
    parser.add_argument("--vocab-size", type=int, default=4096, help="output units (default 4096)")
    parser.add_argument("--folder", help="where states are written (default: the system's temporary folder)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    print(describe_machine(torch.device("cpu")))
    print("\n| configuration | router | parameters | state | bytes a parameter | save | check and load |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    results = []
    for path in options.config:
        row = measure(path, options.vocab_size, options.folder)
        results.append(row)
        sizes = f"{row['parameters'] / 1e6:.1f} M | {row['bytes'] / 2**20:.0f} MiB"
        each = f"{row['bytes'] / row['parameters']:.1f}"
        times = f"{row['save_s']:.1f} s | {row['load_s']:.1f} s"
        print(f"| {row['config']} | {row['router']} | {sizes} | {each} | {times} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
