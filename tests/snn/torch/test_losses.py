"""Losses against numbers computed by hand, and against the libraries that they are named after."""

import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.hyperparameters.losses import LOSSES
from snnhpo_mpi.snn.torch.losses import loss_of, predicted

# One sample of two steps and three neurons: sums 3, 2, 1, largest values 2, 2, 1, last ones 1, 2, 0.
OUTPUT = torch.tensor([[[2.0, 0.0, 1.0], [1.0, 2.0, 0.0]]])
LABEL = torch.tensor([1])


def cross_entropy(logits: list[float], label: int) -> float:
    return math.log(sum(math.exp(value) for value in logits)) - logits[label]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rate_cross_entropy", (cross_entropy([2, 0, 1], 1) + cross_entropy([1, 2, 0], 1)) / 2),
        ("count_cross_entropy", cross_entropy([3, 2, 1], 1)),
        ("max_cross_entropy", cross_entropy([2, 2, 1], 1)),
        ("last_cross_entropy", cross_entropy([1, 2, 0], 1)),
        ("count_mean_square", (3**2 + (2 - 2) ** 2 + 1**2) / 3 / 2),
        ("rate", (1.5 - 0.03) ** 2 + (1 - 0.2) ** 2 + (0.5 - 0.03) ** 2),
        ("max", cross_entropy([1.5, 1, 0.5], 1)),
    ],
)
def test_a_loss_is_what_its_formula_says(name: str, expected: float) -> None:
    assert loss_of(name)(OUTPUT, LABEL).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mean_square", (1.5**2 + (1 - 1) ** 2 + (0.5 + 2) ** 2) / 3),
        ("last_mean_square", (1 + (2 - 1) ** 2 + 2**2) / 3),
    ],
)
def test_a_regression_loss_takes_a_number_for_each_output(name: str, expected: float) -> None:
    assert loss_of(name)(OUTPUT, torch.tensor([[0.0, 1.0, -2.0]])).item() == pytest.approx(expected)
    one = loss_of(name)(OUTPUT[:, :, :1], torch.tensor([0.0]))
    assert one.item() == pytest.approx(1.5**2 if name == "mean_square" else 1)


def test_numbers_that_do_not_fit_the_output_are_refused_instead_of_spread() -> None:
    with pytest.raises(ValueError, match="as the output has neurons: 3, the labels have 1"):
        loss_of("mean_square")(OUTPUT, torch.tensor([0.0]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [*((name, 0) for name in LOSSES if LOSSES[name].reads in ("sum", "max")), ("last_cross_entropy", 1)],
)
def test_the_class_read_is_that_of_what_the_loss_looks_at(name: str, expected: int) -> None:
    assert predicted(name, OUTPUT).tolist() == [expected]


def test_a_regression_answers_numbers() -> None:
    assert predicted("mean_square", OUTPUT).tolist() == [[1.5, 1.0, 0.5]]
    assert predicted("last_mean_square", OUTPUT).tolist() == [[1.0, 2.0, 0.0]]


@pytest.mark.parametrize("name", [name for name, kind in LOSSES.items() if kind.smooths])
def test_label_smoothing_spreads_a_share_of_the_label_over_all_classes(name: str) -> None:
    plain = [loss_of(name)(OUTPUT, torch.tensor([label])).item() for label in range(3)]
    smoothed = loss_of(name, label_smoothing=0.3)(OUTPUT, LABEL).item()
    assert smoothed == pytest.approx(0.7 * plain[1] + 0.3 * sum(plain) / 3)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_reaches_every_sample_with_its_gradient(name: str) -> None:
    torch.manual_seed(1)
    output = torch.rand(4, 5, 3, requires_grad=True)
    labels = torch.rand(4, 3) if LOSSES[name].score == "r2" else torch.tensor([0, 1, 2, 1])
    loss_of(name)(output, labels).backward()  # type: ignore[no-untyped-call]
    assert output.grad is not None and (output.grad.abs().flatten(1).sum(1) > 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_descending_a_loss_makes_its_answers_right(name: str) -> None:
    """What a loss wants must be what is read and scored."""
    output = torch.full((3, 4, 3), 0.5, requires_grad=True)
    labels = torch.tensor([2, 0, 1])
    wanted = functional.one_hot(labels).to(torch.float32) if LOSSES[name].score == "r2" else labels
    for _ in range(300):
        (slope,) = torch.autograd.grad(loss_of(name)(output, wanted), output)
        output = (output - 0.3 * slope).detach().requires_grad_()
    found = predicted(name, output)
    assert (found.argmax(1) if found.dim() > 1 else found).tolist() == labels.tolist()


@pytest.mark.slayer
@pytest.mark.parametrize("name", ["rate", "max"])
def test_slayers_losses_and_their_gradients_are_the_librarys_bit_for_bit(name: str) -> None:
    from snnhpo_mpi.snn.slayer.lava import slayer

    library = slayer.loss.SpikeRate(0.2, 0.03) if name == "rate" else slayer.loss.SpikeMax(mode="softmax")
    for seed in range(20):
        torch.manual_seed(seed)
        spikes = (torch.rand(8, 25, 10) < 0.2).float()
        classes = torch.randint(0, 10, (8,))
        ours, theirs = spikes.clone().requires_grad_(), spikes.clone().requires_grad_()
        found, expected = loss_of(name)(ours, classes), library(theirs.transpose(1, 2), classes)
        found.backward()  # type: ignore[no-untyped-call]
        expected.backward()
        assert torch.equal(found, expected)
        assert torch.equal(ours.grad, theirs.grad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("rate_cross_entropy", "ce_rate_loss"),
        ("count_cross_entropy", "ce_count_loss"),
        ("max_cross_entropy", "ce_max_membrane_loss"),
        ("count_mean_square", "mse_count_loss"),
    ],
)
def test_losses_are_those_of_snntorch(name: str, theirs: str) -> None:
    library = pytest.importorskip("snntorch.functional", reason="snntorch is not installed")
    torch.manual_seed(2)
    spikes, classes = (torch.rand(8, 25, 10) < 0.2).float(), torch.randint(0, 10, (8,))
    expected = getattr(library, theirs)()(spikes.transpose(0, 1), classes)
    assert loss_of(name)(spikes, classes).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_loss_of_ones_own_is_called_and_its_classes_are_read_from_the_sums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own_loss.py").write_text(
        "def far(output, labels):\n    return (output.sum(1).gather(1, labels[:, None]) - 5).square().mean()\n"
        "def number(output, labels):\n    return 1.0\n"
        "def each(output, labels):\n    return output.sum(1)\n"
        "def detached(output, labels):\n    return output.detach().sum()\n"
        "size = 3\n"
    )
    output = OUTPUT.clone().requires_grad_()
    assert loss_of("own_loss.py:far")(output, LABEL).item() == pytest.approx((2 - 5) ** 2)
    assert loss_of("own_loss:far")(output, LABEL).item() == pytest.approx((2 - 5) ** 2)
    assert predicted("own_loss.py:far", OUTPUT).tolist() == [0]
    for name, message in {
        "number": "must return one number as a tensor, found 1.0",
        "each": "must return one number as a tensor, found a tensor of 1 x 3",
        "detached": "returned a number without a gradient",
    }.items():
        with pytest.raises(ValueError, match=message):
            loss_of(f"own_loss.py:{name}")(output, LABEL)
    for target, message in {
        "own_loss.py:none": r"trainer\.loss: own_loss\.py has no none",
        "own_loss.py:size": r"trainer\.loss: own_loss\.py:size must be a function",
        "nowhere.py:far": r"trainer\.loss: there is no file nowhere\.py",
    }.items():
        with pytest.raises(ConfigError, match=message):
            loss_of(target)


def test_a_module_that_raises_is_named_with_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad_loss.py").write_text("x = 1\ny = x / 0\n")
    with pytest.raises(ConfigError, match=r"trainer\.loss: .*ZeroDivisionError.*bad_loss\.py, line 2: y = x / 0"):
        loss_of("bad_loss.py:far")
