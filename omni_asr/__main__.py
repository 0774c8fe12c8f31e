"""``python -m omni_asr <program>``: the console script without an installation."""

import sys

from omni_asr.bin.cli import main

if __name__ == "__main__":
    sys.exit(main())
