import json

import numpy as np
import pytest
import torch

from snnhpo_mpi.snn.state_bytes import from_bytes, to_bytes


def test_a_state_comes_back_as_it_was() -> None:
    state = {
        "numbers": [1, 2.5, float("inf"), 2**127, None, True, "ü"],
        "moments": {0: {"betas": (0.9, 0.999)}},
        "array": np.arange(6, dtype=np.int16).reshape(2, 3)[:, ::-1],
        "scalar": np.array(3.0),
    }
    found = from_bytes(to_bytes(state))
    for name in ("array", "scalar"):
        one, other = found.pop(name), state.pop(name)
        assert np.array_equal(one, other) and (one.dtype, one.shape) == (other.dtype, other.shape)
    assert found == state


@pytest.mark.parametrize(
    "tensor",
    [
        torch.rand(2, 3).t(),
        torch.tensor(2.5),
        torch.zeros(0, 3),
        torch.tensor([True, False]),
        torch.ones(3, dtype=torch.bfloat16),
        torch.nn.Parameter(torch.ones(2)),
    ],
    ids=lambda tensor: f"{tensor.dtype} {tuple(tensor.shape)}",
)
def test_a_tensor_keeps_its_type_and_shape(tensor: torch.Tensor) -> None:
    found = from_bytes(to_bytes({"one": tensor}))["one"]
    assert torch.equal(found, tensor) and found.dtype == tensor.dtype


@pytest.mark.parametrize("value", [np.array([object()]), {1, 2}, object()])
def test_what_only_a_pickle_could_hold_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        to_bytes({"one": value})


@pytest.mark.parametrize("packed", [{"tensor": [0, "load", [1]]}, {"array": 3}, {"code": "1"}, {}])
def test_a_foreign_line_runs_nothing(packed: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, IndexError)):
        from_bytes(json.dumps({"dict": [["one", packed]]}).encode() + b"\n" + to_bytes({"a": np.zeros(4)})[30:])
