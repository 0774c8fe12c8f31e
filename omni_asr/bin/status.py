"""Show how far experiments are: running, stopped, finished, failed and only evaluated ones in one table.

omni-asr status exp/*
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.errors import UserError
from omni_asr.training.status import status_of, status_table


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table. Of several directories those that are no experiments are passed over."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("exp_dir", nargs="+", help="experiment directories, such as exp/*")
    folders = [Path(name) for name in parser.parse_args(argv).exp_dir]
    statuses = []
    for folder in [folder for folder in folders if folder.is_dir() or len(folders) == 1]:
        try:
            statuses.append(status_of(folder))
        except UserError as error:
            if len(folders) == 1:
                raise
            logging.getLogger(__name__).warning("%s", error)
    if not statuses:
        raise UserError(f"none of the {len(folders)} directories is an experiment")
    print(status_table(statuses))


if __name__ == "__main__":
    sys.exit(run_program(main))
