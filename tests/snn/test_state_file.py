import subprocess
import sys
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch

from snnhpo_mpi.snn.state_file import packed, unpacked


def back(state: Any) -> Any:
    return unpacked(packed(state))


def test_plain_values_come_back_with_their_types_and_keys() -> None:
    state = {"a": [1, 2.5, None, True, "x"], 7: {"inner": {}}, "dict": {"array": 3}, "big": 2**70, "inf": float("inf")}
    assert back(state) == state
    assert back((1, (2,))) == [1, [2]]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.uint16, np.bool_])
def test_arrays_come_back_to_the_bit_and_can_be_written_to(kind: Any) -> None:
    array = np.arange(6).reshape(2, 3).astype(kind)
    found = back({"x": [array, array[:0]]})["x"]
    assert found[0].dtype == kind and np.array_equal(found[0], array)
    found[0][0, 0] = 1
    assert found[1].shape == (0, 3)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
def test_tensors_come_back_as_tensors(kind: torch.dtype) -> None:
    tensor = torch.arange(6).reshape(2, 3).to(kind)
    for one in (tensor, tensor.t(), tensor[0, 1], tensor[:0], torch.nn.Parameter(tensor, requires_grad=False)):
        found = back(OrderedDict(x=one))["x"]
        assert found.dtype == kind and torch.equal(found, one)


def test_an_optimizer_goes_on_with_its_state() -> None:
    def built() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        network = torch.nn.Linear(3, 2)
        return network, torch.optim.AdamW(network.parameters(), lr=0.1)

    def step(network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        network(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()

    uncut, cut = built(), built()
    step(*uncut)
    state = back([part.state_dict() for part in uncut])
    for part, one in zip(cut, state, strict=True):
        part.load_state_dict(one)
    step(*uncut)
    step(*cut)
    for ours, theirs in zip(cut[0].parameters(), uncut[0].parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_what_it_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        packed({"x": object()})


def test_arrays_need_no_torch() -> None:
    program = (
        "import sys, numpy as np\nfrom snnhpo_mpi.snn.state_file import packed, unpacked\n"
        "unpacked(packed({'x': np.ones(3)}))\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
