"""Check a configuration and print it complete, with every default.

Example: omni-asr show-config conf/base.yaml model.router=switch optim.lr=2e-3
"""

import sys
from collections.abc import Sequence

import yaml

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.config import config_to_dict, load_config


def main(argv: Sequence[str] | None = None) -> None:
    """Print the configuration as YAML."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("config", metavar="CONFIG.yaml", help="file with what differs from the defaults")
    parser.add_argument("overrides", metavar="SECTION.KEY=VALUE", nargs="*", help="options that differ from the file")
    parser.add_argument("--quiet", action="store_true", help="check only")
    options = parser.parse_args(argv)
    config = load_config(options.config, options.overrides)
    if not options.quiet:
        yaml.safe_dump(config_to_dict(config), sys.stdout, sort_keys=False)


if __name__ == "__main__":
    sys.exit(run_program(main))
