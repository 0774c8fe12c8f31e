"""Decode a data directory with a trained model.

Writes OUT_DIR/{text,score,tokens.jsonl,load.json}.
"""

import os
import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.config import override
from omni_asr.decoding.decode import decode_directory
from omni_asr.devices import choose_device
from omni_asr.errors import UserError
from omni_asr.training.checkpoint import load_checkpoint


def main(argv: Sequence[str] | None = None) -> None:
    """Load the model and decode."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--model", required=True, help="model.pt, or an experiment directory that holds one")
    parser.add_argument("--ngpu", type=int, default=0, help="GPUs to use; 0 decodes on the CPU")
    parser.add_argument("--set", action="append", default=[], metavar="decode.KEY=VALUE", help="override an option")
    parser.add_argument("data_dir", help="data directory with feats.scp")
    parser.add_argument("out_dir", help="folder to write")
    parser.add_argument(
        "--checkpoint", default="average", help="of an experiment: average, best, last, running, ema, or a step"
    )
    parser.add_pipes()
    options = parser.parse_args(argv)
    foreign = next((text for text in options.set if not text.startswith("decode.")), None)
    if foreign is not None:
        raise UserError(f"--set {foreign!r}: decoding takes decode.* only; the model carries everything else")
    package = load_checkpoint(options.model, options.checkpoint, choose_device(options.ngpu))
    package.config = override(package.config, options.set)
    if "OMNI_ASR_COMMAND" in os.environ:  # set by a recipe: how these words can be made again
        package.info["command"] = os.environ["OMNI_ASR_COMMAND"]
    decode_directory(package, options.data_dir, options.out_dir)


if __name__ == "__main__":
    sys.exit(run_program(main))
