"""``python -m omni_asr <program>``: the console script without an installation."""

import sys

from omni_asr.bin.cli import main

sys.exit(main())
