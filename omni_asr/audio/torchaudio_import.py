"""The one place through which the package imports torchaudio.

Write ``import_torchaudio().functional.resample(...)`` inside the function that needs it, not ``import torchaudio`` at
the top of a module: a torchaudio that does not load is then one line for the user and no traceback.
"""

import functools
import importlib
from typing import Any

from omni_asr.errors import UserError


@functools.cache
def import_torchaudio() -> Any:
    """Return the module torchaudio with ``compliance.kaldi``, ``functional`` and ``transforms`` imported.

    The pure-Python parts are all that the package uses. torchaudio's wheel carries a native library for CUDA builds of
    PyTorch; beside a CPU-only PyTorch it fails to load, and torchaudio with it, until the library is set aside.

    Raises:
        UserError: torchaudio is missing or does not load; the message says what to type.
    """
    try:
        torchaudio = importlib.import_module("torchaudio")
        for part in ("compliance.kaldi", "functional", "transforms"):
            importlib.import_module(f"torchaudio.{part}")
    except ModuleNotFoundError as error:
        raise UserError(f"{error}; run tools/install.sh in the omni_asr repository") from None
    except (ImportError, OSError) as error:
        raise UserError(_explain(error)) from None
    return torchaudio


def _explain(error: BaseException) -> str:
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        what = "torchaudio's native library does not load on this CPU-only PyTorch"
        return f"{what}; run python tools/fix_torchaudio.py in the omni_asr repository"
    reason = (str(error).splitlines() or ["unknown reason"])[0]
    return f"torchaudio does not load beside PyTorch {torch.__version__}: {reason}; run python tools/check_install.py"
