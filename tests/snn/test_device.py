import pytest
import torch

from snnhpo_mpi.errors import SnnhpoError
from snnhpo_mpi.snn.device import checked


def test_a_working_device_passes() -> None:
    assert checked("cpu") == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a working GPU")
def test_a_gpu_that_is_not_there_is_told_with_its_circumstances() -> None:
    with pytest.raises(SnnhpoError, match=r"cuda:0 does not work: .*torch .* is built for .*CUDA available: False"):
        checked("cuda:0")


def test_a_device_that_computes_wrongly_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "ones", torch.zeros)
    with pytest.raises(SnnhpoError, match="cpu computes wrongly: a sum is 0 instead of"):
        checked("cpu")


@pytest.mark.gpu
def test_a_gpu_passes() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    assert checked("cuda:0") == "cuda:0"
