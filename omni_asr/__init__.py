"""omni_asr: sparse mixture-of-experts CTC speech recognition with one router shared by all layers."""

import os

__version__ = "0.1.0"

# Large tensors on the CPU come in huge pages where the system grants them: without, a step on small batches spends a
# tenth of its time on page faults. PyTorch reads this once, at its first allocation.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
