"""Steps down a gradient: those of torch's own classes, and the same again from a checkpoint."""

import copy
import itertools
from typing import Any

import pytest
import torch

from snnhpo_mpi.snn.state_file import packed, unpacked
from snnhpo_mpi.snn.torch.optimizers import make

N_STEPS = 20


def toy() -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def slope(network: torch.nn.Module, number: int) -> None:
    """The gradient of a batch."""
    network.zero_grad()
    generator = torch.Generator().manual_seed(number)
    loss = (network(torch.randn(5, 4, generator=generator)) - torch.randn(5, 3, generator=generator)).square().sum()
    loss.backward()


def trained(network: torch.nn.Module, descent: Any, numbers: range) -> list[torch.Tensor]:
    for number in numbers:
        slope(network, number)
        descent.step()
    return [parameter.detach().clone() for parameter in network.parameters()]


LIBRARY = {
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.02, weight_decay=0.1),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.1),
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.02, weight_decay=0.1, momentum=0.7),
}
SCHEDULE = {
    "constant": lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 1.0),
    "cosine": lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, N_STEPS),
    "one_cycle": lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.02, total_steps=N_STEPS, cycle_momentum=False
    ),
}


@pytest.mark.parametrize("schedule", SCHEDULE)
@pytest.mark.parametrize("optimizer", LIBRARY)
def test_each_optimizer_and_schedule_learns_what_torchs_own_do(optimizer: str, schedule: str) -> None:
    given = {"optimizer": optimizer, "schedule": schedule, "learning_rate": 0.02, "weight_decay": 0.1, "momentum": 0.7}
    ours = toy()
    found = trained(ours, make(ours.parameters(), given | {"gradient_clipping": 1.5}, N_STEPS), range(N_STEPS))
    theirs = toy()
    steps = LIBRARY[optimizer](theirs.parameters())
    schedules = SCHEDULE[schedule](steps)
    for number in range(N_STEPS):
        slope(theirs, number)
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.5)
        steps.step()
        schedules.step()
    for one, other in zip(found, theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("schedule", SCHEDULE)
@pytest.mark.parametrize("optimizer", LIBRARY)
def test_what_goes_on_from_a_checkpoint_is_the_uncut_training_bit_for_bit(optimizer: str, schedule: str) -> None:
    given = {"optimizer": optimizer, "schedule": schedule, "learning_rate": 0.02, "gradient_clipping": 0.5}
    whole = toy()
    expected = trained(whole, make(whole.parameters(), given, N_STEPS), range(N_STEPS))
    first = toy()
    begun = make(first.parameters(), given, N_STEPS)
    trained(first, begun, range(7))
    saved = unpacked(packed({"network": dict(first.state_dict()), "descent": begun.state_dict()}))
    second = toy()
    resumed = make(second.parameters(), given, N_STEPS)
    second.load_state_dict(saved["network"])
    resumed.load_state_dict(saved["descent"])
    found = trained(second, resumed, range(7, N_STEPS))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_gradient_is_shortened_to_the_norm_asked_for_and_its_own_norm_is_told() -> None:
    network = toy()
    slope(network, 1)
    before = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]).norm()
    norm = make(network.parameters(), {"gradient_clipping": 0.25}, 1).step()
    after = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(before.item())
    assert before > 0.25
    assert after.item() == pytest.approx(0.25, rel=1e-4)


def test_without_clipping_the_gradient_is_left_as_it_is() -> None:
    network = toy()
    slope(network, 1)
    before = [copy.deepcopy(p.grad) for p in network.parameters()]
    make(network.parameters(), {}, 1).step()
    assert all(torch.equal(one, p.grad) for one, p in zip(before, network.parameters(), strict=True))  # type: ignore[arg-type]


def test_the_norm_of_a_gradient_that_is_no_number_is_none() -> None:
    network = toy()
    slope(network, 1)
    next(network.parameters()).grad.fill_(torch.nan)  # type: ignore[union-attr]
    assert not make(network.parameters(), {}, 1).step().isfinite()


def test_parameters_without_a_gradient_stay_and_a_network_without_any_does_not_fail() -> None:
    network = toy()
    before = [p.detach().clone() for p in network.parameters()]
    assert make(network.parameters(), {"gradient_clipping": 1.0}, 1).step().item() == 0
    assert all(torch.equal(one, p) for one, p in zip(before, network.parameters(), strict=True))


def steps_of(schedule: str, n_steps: int) -> list[float]:
    """How far each step of plain gradient descent goes, where the gradient is 1."""
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    given = {"optimizer": "sgd", "momentum": 0.0, "schedule": schedule, "learning_rate": 1.0}
    descent, places = make([weight], given, n_steps), [0.0]
    for _ in range(n_steps):
        weight.grad = torch.ones_like(weight)
        descent.step()
        places.append(-weight.item())
    return [after - before for before, after in itertools.pairwise(places)]


@pytest.mark.parametrize("n_steps", [1, 2, 3, 4, 5, 10, 1000])
def test_a_schedule_stays_between_0_and_its_largest_step_to_the_planned_end(n_steps: int) -> None:
    for schedule in SCHEDULE:
        assert all(0 < one <= 1 + 1e-9 for one in steps_of(schedule, n_steps))
    cycle = steps_of("one_cycle", n_steps)
    if n_steps == 1000:
        assert cycle.index(max(cycle)) == 299 and max(cycle) == pytest.approx(1.0)
        assert (cycle[0], cycle[-1]) == (pytest.approx(1 / 25), pytest.approx(1 / 25e4))


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no optimizer lion"):
        make(toy().parameters(), {"optimizer": "lion"}, 1)
    with pytest.raises(ValueError, match="no schedule step"):
        make(toy().parameters(), {"schedule": "step"}, 1)
