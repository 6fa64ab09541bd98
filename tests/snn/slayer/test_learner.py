"""Learning from batches by a CUDA graph: what it must not change."""

import pytest
import torch

from snnhpo_mpi.hyperparameters.networks import defaults

pytestmark = pytest.mark.slayer
N_BATCHES = 9


def learnt(
    n_uncaptured: int, monkeypatch: pytest.MonkeyPatch, **changes: float | str
) -> tuple[list[list[float]], object]:
    """What batches gave, the last of each three smaller, and the learner after them."""
    from snnhpo_mpi.snn.slayer import backpropagation as module
    from snnhpo_mpi.snn.slayer.csnn import Csnn

    monkeypatch.setattr(module, "N_UNCAPTURED", n_uncaptured)
    torch.manual_seed(3)
    params = defaults("slayer", "csnn") | {"threshold": 0.5, "c1_filters": 4, "c2_filters": 6, **changes}
    learner = module.Backpropagation(Csnn((1, 12, 12), 3, params, ("c1", "output")).cuda(), params)
    found = []
    for number in range(N_BATCHES):
        torch.manual_seed(number)
        size = 4 if number % 3 == 2 else 8
        spikes = (torch.rand(size, 10, 1, 12, 12) < 0.4).float().cuda()
        predicted, counts, fired = learner.train(spikes, torch.arange(size).cuda() % 3)
        found.append([*predicted.tolist(), *counts["c1"].tolist(), *counts["output"].tolist(), float(fired.sum())])
    return found, learner


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("decoder", ["rate", "max"])
def test_a_captured_step_learns_what_its_operations_one_by_one_do(
    decoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (expected, single), (found, graph) = (learnt(n, monkeypatch, dropout=0.2, decoder=decoder) for n in (99, 2))
    assert single._captured is None and graph._captured is not None  # type: ignore[attr-defined]
    assert found == expected
    for one, other in zip(single.network.parameters(), graph.network.parameters(), strict=True):  # type: ignore[attr-defined]
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_captured_step_that_diverges_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _, learner = learnt(2, monkeypatch)
    nothing = torch.full((8, 10, 1, 12, 12), torch.nan).cuda()
    with pytest.raises(FloatingPointError, match="norm of its gradient nan"):
        learner.train(nothing, torch.zeros(8, dtype=torch.int64).cuda())  # type: ignore[attr-defined]


def test_a_checkpoint_of_a_gpu_is_learnt_on_from_without_one() -> None:
    from snnhpo_mpi.snn.slayer.backpropagation import Backpropagation
    from snnhpo_mpi.snn.slayer.csnn import Csnn

    params = defaults("slayer", "csnn") | {"dropout": 0.0}
    learner, other = (Backpropagation(Csnn((1, 8, 8), 2, params), params) for _ in range(2))
    batch = torch.ones(2, 6, 1, 8, 8), torch.tensor([0, 1])
    learner.train(*batch)
    state = learner.state_dict()
    state["optimizer"]["param_groups"][0]["capturable"] = True
    other.load_state_dict(state)
    for one in (learner, other):
        one.train(*batch)
    for mine, its in zip(learner.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(mine, its)


def test_a_step_that_cannot_be_captured_is_learnt_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from snnhpo_mpi.snn.slayer import backpropagation as module
    from snnhpo_mpi.snn.slayer.csnn import Csnn

    def fail(*_: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(module, "_Captured", fail)
    monkeypatch.setattr(module, "_aside", lambda step, *batch: step(*batch))
    params = defaults("slayer", "csnn") | {"dropout": 0.0}
    torch.manual_seed(1)
    pair = [module.Backpropagation(Csnn((1, 8, 8), 2, params), params) for _ in range(2)]
    pair[1].load_state_dict(pair[0].state_dict())
    pair[1]._captures = True
    for _ in range(5):
        found = [one.train(torch.ones(2, 6, 1, 8, 8), torch.tensor([0, 1]))[2] for one in pair]
        assert torch.equal(*found)
    (warning,) = caplog.messages
    assert warning.endswith("without a CUDA graph: operation not permitted when stream is capturing")
