"""Where tensors live, and in what precision."""

import torch

from omni_asr.errors import UserError


def choose_device(ngpu: int, local: int = 0) -> torch.device:
    """Return the CPU for 0 GPUs, else GPU number ``local`` of this machine.

    Raises:
        UserError: a GPU is asked for and there are not so many here.
    """
    if ngpu == 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError("--ngpu asks for a GPU, but PyTorch sees none here; use --ngpu 0 or see tools/check_install.py")
    if local >= torch.cuda.device_count():
        raise UserError(
            f"process {local} of this machine has no GPU: there are {torch.cuda.device_count()}; lower --ngpu"
        )
    return torch.device("cuda", local)


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where a GPU computes, float32 on the CPU."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")
