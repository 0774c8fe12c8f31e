"""Write the results of an experiment into RESULTS.md, one row per test set, and a summary over seeds.

With --routing, writes the experiment's row into the table of routing, from routing.json, and no other.

Reads model_info.json and cmd.txt of the experiment and wer and cer of its decode_SET folders. Older rows of the same
experiment and set, in any regime and of any subset, are removed. Text outside the marked tables is kept.
"""

import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.scoring.results import update, update_routing


def main(argv: Sequence[str] | None = None) -> None:
    """Update the tables and print what was written."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--exp-dir", required=True, help="experiment whose results are written")
    parser.add_argument("--results", required=True, help="file with the tables; made when missing")
    parser.add_argument("--routing", action="store_true", help="write how the experiment routes, not its error rates")
    parser.add_argument("sets", nargs="*", metavar="SET", help="test set, decoded in EXP_DIR/decode_SET")
    options = parser.parse_args(argv)
    if options.routing:
        row = update_routing(options.results, options.exp_dir)
        known = f"{row['matched']} matched, {row['NMI']} NMI" if row["NMI"] else "unknown: no two layers share a group"
        print(f"{row['exp']}: agreement between layers {known}")
        return
    for row in update(options.results, options.exp_dir, options.sets):
        rates = f"WER {row['WER']} CER {row['CER']} ({row['errors / words']} words)"
        print(f"{row['exp']} {row['set']} ({row['regime']} by {row['protocol']}): {rates}")


if __name__ == "__main__":
    sys.exit(run_program(main))
