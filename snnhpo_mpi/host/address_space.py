"""Whether the address space of this process (``ulimit -v``) is large enough."""

from __future__ import annotations

import resource

LEAST_ADDRESS_SPACE = 400 << 20  # bytes; with less, linear algebra waits for memory for ever
_NO_MEMORY = ("failed to map", "cannot map", "cannot allocate memory", "cannot create thread", "can't start new thread")


def short_of_address_space(error: BaseException | None = None) -> str | None:
    """What to say where the address space (``ulimit -v``) is too small, for an error or for any work; else None.

    Libraries answer with errors of their own where it ends: an import that "failed to map" a file, for example.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    is_fault = isinstance(error, MemoryError) or (
        isinstance(error, ImportError | OSError) and any(words in str(error).lower() for words in _NO_MEMORY)
    )
    if not is_fault and (error is not None or limit >= LEAST_ADDRESS_SPACE):
        return None
    cause = "" if error is None else f" ({type(error).__name__}: {error})"
    return (
        f"the address space of this process is limited to {limit / 2**20:,.0f} MB (ulimit -v), which is too little"
        f"{cause}; a search of spiking networks needs 10,000 MB or more, as torch alone maps several thousand: "
        "ulimit -v unlimited"
    )
