"""Print the size of a model: layers, parameters, arithmetic per second of audio, memory for training.

Nothing is trained and no weight is allocated. The number of units is the data's and not in the configuration: give it.

Example: omni-asr model-info --config egs/TEMPLATE/conf/8x84m.yaml --vocab-size 4096
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.config import load_config
from omni_asr.errors import UserError
from omni_asr.models.size import model_size


def main(argv: Sequence[str] | None = None) -> None:
    """Print one line per figure."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--config", help="YAML file with what differs from the defaults")
    parser.add_argument("--router", help="wins over model.router of the file")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one option")
    parser.add_argument("--vocab-size", type=int, required=True, metavar="V", help="output units with the blank")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of an utterance")
    options = parser.parse_args(argv)
    if options.vocab_size < 2 or options.seconds <= 0:
        raise UserError("--vocab-size must be at least 2 and --seconds above 0")
    overrides = [*options.set, *([f"model.router={options.router}"] if options.router else [])]
    config = load_config(options.config, overrides)
    size = model_size(config, options.vocab_size, options.seconds)
    frames = config.data.batch_frames / config.model.stack
    rows = [
        ("router", config.model.router),
        ("layers", f"{size.layers}, {size.moe_layers} of them mixtures of experts ({config.model.experts})"),
        ("parameters", f"{size.total / 1e6:.1f} M, {size.active / 1e6:.1f} M active"),
        ("forward", f"{size.flops / 1e9:.2f} GFLOP per second of audio ({options.seconds:g} s utterances)"),
        ("training", f"{3 * size.flops / 1e9:.2f} GFLOP per second of audio"),
        ("weights", f"{_gib(size.weight_bytes)} in float32"),
        ("training memory", f"{_gib(size.state_bytes)} for weights, gradients and AdamW's moments"),
        ("", f"{_gib(size.frame_bytes * frames)} for activations of a batch of {config.data.batch_frames} frames"),
    ]
    for name, value in rows:
        print(f"{name:16}  {value}")


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"


if __name__ == "__main__":
    sys.exit(run_program(main))
