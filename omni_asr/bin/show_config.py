"""Check a configuration and print it complete, with every default.

The model is built too, without memory for its weights, so that options that do not go together show at once.

Example: omni-asr show-config --config conf/base.yaml --set model.router=switch --set optim.lr=2e-3
"""

import sys
from collections.abc import Sequence
from typing import Any

import yaml

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.config import Config, ModelConfig, config_to_dict, load_config
from omni_asr.errors import UserError


def main(argv: Sequence[str] | None = None) -> None:
    """Print the configuration as YAML, or one option of it."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--config", metavar="FILE", help="YAML file with options that differ from the defaults")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override an option")
    parser.add_argument("--get", metavar="SECTION.KEY", help="print this option alone; no model is built")
    parser.add_argument("--quiet", action="store_true", help="check only")
    options = parser.parse_args(argv)
    config = load_config(options.config, options.set)
    if options.get:
        print(_text(_option(config, options.get)))
        return
    check_model(config.model)
    if not options.quiet:
        yaml.safe_dump(config_to_dict(config), sys.stdout, sort_keys=False)


def _option(config: Config, name: str) -> Any:
    section, _, key = name.partition(".")
    try:
        return config_to_dict(config)[section][key]
    except KeyError:
        raise UserError(
            f"--get {name}: there is no such option; omni-asr show-config without --get lists all"
        ) from None


def _text(value: Any) -> str:
    """A value as a shell wants it: strings as they are, others as in YAML."""
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()


def check_model(config: ModelConfig) -> None:
    """Raise ``UserError`` where no model can be built from the options."""
    import torch  # here, since it takes seconds that --get does without

    from omni_asr.models.asr_model import AsrModel

    try:
        with torch.device("meta"):
            AsrModel(config, num_features=80, vocab_size=10)
    except (RuntimeError, ValueError, ArithmeticError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"no model can be built from the options of 'model': {reason}; check its sizes") from None


if __name__ == "__main__":
    sys.exit(run_program(main))
