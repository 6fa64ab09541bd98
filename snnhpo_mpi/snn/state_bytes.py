"""States of networks and generators as bytes, which run no code when they are read, as a pickle could.

A line of JSON, then the arrays that it refers to in NumPy's format. In the JSON, what is no number, text, truth value,
None or list is an object with one key that tells its kind: ``dict`` (its items: keys need not be texts), ``tuple``,
``array`` and ``tensor`` (the position of the array; of a tensor, which may be of a type that NumPy lacks, the bytes).
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = list[NDArray[Any]]


def to_bytes(state: Mapping[str, Any]) -> bytes:
    """A state: dicts, lists, tuples, numbers, texts, arrays and tensors, in any depth.

    Raises:
        TypeError: something else is in it.
    """
    arrays: Arrays = []
    line = json.dumps(_packed(state, arrays)).encode()
    buffer = io.BytesIO()
    buffer.write(line + b"\n")
    for array in arrays:
        np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def from_bytes(content: bytes) -> Any:
    """Inverse of ``to_bytes``; tensors are on the CPU.

    Raises:
        ValueError, TypeError, KeyError, IndexError: not what ``to_bytes`` wrote.
    """
    buffer = io.BytesIO(content)
    packed = json.loads(buffer.readline())
    arrays: Arrays = []
    while buffer.tell() < len(content):
        arrays.append(np.lib.format.read_array(buffer, allow_pickle=False))
    return _unpacked(packed, arrays)


def _packed(value: Any, arrays: Arrays) -> Any:
    torch = sys.modules.get("torch")  # without it, nothing is a tensor
    if isinstance(value, Mapping):
        return {"dict": [[_packed(key, arrays), _packed(inner, arrays)] for key, inner in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_packed(inner, arrays) for inner in value]}
    if isinstance(value, list):
        return [_packed(inner, arrays) for inner in value]
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if torch is not None and isinstance(value, torch.Tensor):
        arrays.append(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return {"tensor": [len(arrays) - 1, str(value.dtype).removeprefix("torch."), list(value.shape)]}
    return value


def _unpacked(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, list):
        return [_unpacked(inner, arrays) for inner in value]
    if not isinstance(value, dict):
        return value
    ((kind, inside),) = value.items()
    match kind:
        case "dict":
            return {_unpacked(key, arrays): _unpacked(inner, arrays) for key, inner in inside}
        case "tuple":
            return tuple(_unpacked(inner, arrays) for inner in inside)
        case "array":
            return arrays[inside]
        case "tensor":
            return _tensor(inside, arrays)
    raise ValueError(f"unknown kind {kind!r}")


def _tensor(inside: Sequence[Any], arrays: Arrays) -> Any:
    import torch  # here: what learns without torch has no tensors

    position, kind, shape = inside
    tensor = torch.empty(shape, dtype=getattr(torch, kind))
    tensor.flatten().view(torch.uint8).copy_(torch.from_numpy(arrays[position]))  # flatten is a view: it is contiguous
    return tensor
