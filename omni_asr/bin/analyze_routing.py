"""Analyse how a trained model routes: agreement between layers, load, run lengths, paths, what experts specialise in.

Writes EXP_DIR/routing.json, from which the report and omni-asr compare draw. Decisions are also disturbed (frames sent
to random experts, experts swapped or removed) and the word error rate of each disturbance measured.

Example: omni-asr analyze-routing exp/omni_base data/test data/test_noisy
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from omni_asr.analysis.routing import analyze_routing
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.devices import choose_device
from omni_asr.errors import UserError
from omni_asr.training.checkpoint import load_checkpoint


def main(argv: Sequence[str] | None = None) -> None:
    """Analyse and print the figures that matter most."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("model", metavar="EXP_DIR", help="experiment, or a packed model with --out")
    parser.add_argument("data_dirs", nargs="+", metavar="DATA_DIR", help="data directories with features")
    parser.add_argument(
        "--checkpoint", default="average", help="of an experiment: average, best, last, running, ema, or a step"
    )
    parser.add_argument("--out", help="file to write instead of EXP_DIR/routing.json")
    parser.add_argument(
        "--disturb", type=int, default=100, metavar="N", help="utterances of disturbed decodings; 0: none"
    )
    parser.add_argument("--ngpu", type=int, default=0, help="GPUs to use; 0 runs on the CPU")
    parser.add_pipes()
    options = parser.parse_args(argv)
    if options.disturb < 0:
        raise UserError("--disturb must be at least 0")
    if not options.out and not Path(options.model).is_dir():
        raise UserError(f"{options.model} is no experiment directory; say with --out where to write")
    package = load_checkpoint(options.model, options.checkpoint, choose_device(options.ngpu))
    if not package.model.encoder.routers():
        print(f"{options.model}: a dense model has no router, so there is nothing to analyse")
        return
    out = options.out or Path(options.model, "routing.json")
    result = analyze_routing(package, options.data_dirs, out, options.disturb)
    mean, paths = result["agreement"]["mean"], result["paths"]
    print(f"{out}: {result['frames']} frames of {len(result['sets'])} sets, {len(result['layers'])} MoE layers")
    if mean["raw"] is not None:
        figures = ", ".join(f"{name} {mean[key]:.3f}" for name, key in AGREEMENTS)
        print(f"agreement between layers: {figures}")
    print(f"paths: {paths['distinct']} of {paths['possible']}, {paths['cover_50']} carry half of the frames")
    if result["perturbations"]:
        disturbed = result["perturbations"]
        last = disturbed["reroute"][-1]["wer"]
        print(f"WER {disturbed['wer']:.2f} % on {disturbed['utterances']} utterances, {last:.2f} % with random experts")


AGREEMENTS = (("raw", "raw"), ("matched", "matched"), ("normalised mutual information", "nmi"))


if __name__ == "__main__":
    sys.exit(run_program(main))
