"""Where tensors live, and in what precision."""

import torch

from omni_asr.errors import UserError


def choose_device(ngpu: int) -> torch.device:
    """Return the CPU for 0 and the GPU for 1.

    Raises:
        UserError: a GPU is asked for and none is usable.
    """
    if ngpu == 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError("--ngpu asks for a GPU, but PyTorch sees none here; use --ngpu 0 or see tools/check_install.py")
    if ngpu > 1:
        raise UserError(f"--ngpu {ngpu}: one process trains on one GPU; use --ngpu 1")
    return torch.device("cuda")


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where a GPU computes, float32 on the CPU."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")
