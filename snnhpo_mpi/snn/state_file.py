"""The state of a training as bytes: arrays, tensors, numbers and text in dicts and lists; reading runs no code.

Torch is imported where there are tensors, so that a training without any needs none.

Format: NumPy's npz. ``tree`` is JSON in which a list stands for a list, and ``{"dict": pairs}``, ``{"array": n}`` and
``{"tensor": n, "dtype": name, "shape": sizes}`` for what they say; array n, or the bytes of tensor n, is member ``n``.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray


def packed(state: Any) -> bytes:
    """A state as bytes.

    Raises:
        TypeError: it holds something else.
    """
    arrays: list[NDArray[Any]] = []
    tree = json.dumps(_tree(state, arrays))
    buffer = io.BytesIO()
    members = {str(number): array for number, array in enumerate(arrays)}
    np.savez(buffer, tree=np.frombuffer(tree.encode(), np.uint8), **members)  # type: ignore[arg-type]  # allow_pickle
    return buffer.getvalue()


def unpacked(content: bytes) -> Any:
    """The state of which ``content`` was made, with lists for tuples.

    Raises:
        Exception: of any kind, where it is something else.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as members:
        return _state(json.loads(members["tree"].tobytes()), members)


def _tree(state: Any, arrays: list[NDArray[Any]]) -> Any:
    if isinstance(state, dict):
        return {"dict": [[key, _tree(value, arrays)] for key, value in state.items()]}
    if isinstance(state, list | tuple):
        return [_tree(value, arrays) for value in state]
    if isinstance(state, np.ndarray):
        arrays.append(state)
        return {"array": len(arrays) - 1}
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(state, torch.Tensor):
        flat = state.detach().cpu().contiguous().reshape(-1)
        arrays.append(flat.view(torch.uint8).numpy())
        return {"tensor": len(arrays) - 1, "dtype": str(state.dtype).removeprefix("torch."), "shape": [*state.shape]}
    return state


def _state(tree: Any, members: Any) -> Any:
    if isinstance(tree, list):
        return [_state(value, members) for value in tree]
    if not isinstance(tree, dict):
        return tree
    if "dict" in tree:
        return {key: _state(value, members) for key, value in tree["dict"]}
    if "array" in tree:
        return members[str(tree["array"])]
    import torch

    tensor = torch.empty(tree["shape"], dtype=getattr(torch, tree["dtype"]))
    tensor.reshape(-1).view(torch.uint8).copy_(torch.from_numpy(members[str(tree["tensor"])]))
    return tensor
