"""Check a configuration and print it complete, with every default.

The model is built too, without memory for its weights, so that options that do not go together show at once.

Example: omni-asr show-config conf/base.yaml model.router=switch optim.lr=2e-3
"""

import sys
from collections.abc import Sequence

import torch
import yaml

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.config import ModelConfig, config_to_dict, load_config
from omni_asr.errors import UserError
from omni_asr.models.asr_model import AsrModel


def main(argv: Sequence[str] | None = None) -> None:
    """Print the configuration as YAML."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("config", metavar="CONFIG.yaml", help="file with what differs from the defaults")
    parser.add_argument("overrides", metavar="SECTION.KEY=VALUE", nargs="*", help="options that differ from the file")
    parser.add_argument("--quiet", action="store_true", help="check only")
    options = parser.parse_args(argv)
    config = load_config(options.config, options.overrides)
    check_model(config.model)
    if not options.quiet:
        yaml.safe_dump(config_to_dict(config), sys.stdout, sort_keys=False)


def check_model(config: ModelConfig) -> None:
    """Raise ``UserError`` where no model can be built from the options."""
    try:
        with torch.device("meta"):
            AsrModel(config, num_features=80, vocab_size=10)
    except (RuntimeError, ValueError, ArithmeticError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"no model can be built from the options of 'model': {reason}; check its sizes") from None


if __name__ == "__main__":
    sys.exit(run_program(main))
