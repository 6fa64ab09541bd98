"""Whether the fused kernels run on a device: asked once by each process."""

from __future__ import annotations

import functools
import logging

import torch

from snnhpo_mpi.snn.slayer.neurons.alif import Alif

log = logging.getLogger(__name__)
# The GPU is full, or broken; torch before 2.8 raises a bare RuntimeError for the latter.
_NO_ANSWER = (torch.cuda.OutOfMemoryError, getattr(torch, "AcceleratorError", torch.cuda.OutOfMemoryError))
_PROBE = Alif(1 << 12, 0, 0.5, 0.5, 0.5, 0.5, 1.0, 1.0)


def fuses(like: torch.Tensor) -> bool:
    """Whether tensors such as this one are computed by the fused kernels: in single precision, on the current GPU."""
    if not like.is_cuda or like.dtype != torch.float32 or like.get_device() != torch.cuda.current_device():
        return False
    return _compiles(str(like.device))


@functools.cache
def _compiles(device: str) -> bool:
    """Whether Triton is there and can compile; if not, torch's own operations are right too, but slow."""
    try:
        from snnhpo_mpi.snn.slayer.neurons import alif_triton

        alif_triton.run(torch.ones(2, 8, device=device), _PROBE)
        torch.cuda.synchronize(device)
    except _NO_ANSWER:
        raise
    except Exception as error:  # compilers, linkers, drivers and file systems fail in ways of their own
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        log.warning(
            "%s: networks are computed by torch's operations, far more slowly than by fused kernels, which Triton "
            "could not compile: %s (it needs a C compiler and Python's headers)",
            device,
            reason,
        )
        return False
    return True
