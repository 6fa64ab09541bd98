"""Whether a device computes: asked once when an evaluator starts, so that a broken GPU costs no trials."""

from __future__ import annotations

import torch

from snnhpo_mpi.errors import SnnhpoError

_SIDE = 256


def checked(device: str) -> str:
    """The device, after it has multiplied two small matrices.

    Raises:
        SnnhpoError: the device is not there, its memory is taken, or it computes wrongly.
    """
    name = torch.device(device)
    try:
        ones = torch.ones(_SIDE, _SIDE, device=name)
        total = (ones @ ones).sum().item()
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).partition("\n")[0]
        raise SnnhpoError(f"{device} does not work: {reason} ({_circumstances()})") from error
    if total != _SIDE**3:
        raise SnnhpoError(f"{device} computes wrongly: a sum is {total:g} instead of {_SIDE**3} ({_circumstances()})")
    return device


def _circumstances() -> str:
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU only"
    return f"torch {torch.__version__} is built for {built}, CUDA available: {torch.cuda.is_available()}"
