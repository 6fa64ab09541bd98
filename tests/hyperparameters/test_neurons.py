"""The table of neurons: each row has a module that computes it, and hyperparameters that every network lists."""

from importlib import import_module

import pytest

from snnhpo_mpi.config.document import apply_override, parse_document
from snnhpo_mpi.config.validation import validate
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.hyperparameters.networks import NETWORKS
from snnhpo_mpi.hyperparameters.neurons import DEFAULT, NEURONS, NeuronKind

SLAYER = """\
study: {name: toy}
budget: {trials: 10}
trainer:
  name: slayer
  dataset: {name: digits5000, train: 100, held_out: 50}
  encoding: {steps: 100, max_rate_hz: 128}
space:
  tau_grad: {type: float, low: 0.1, high: 1}
"""


@pytest.mark.parametrize("name", NEURONS)
def test_a_row_has_its_module_and_every_network_its_hyperparameters(name: str) -> None:
    assert callable(import_module(f"snnhpo_mpi.snn.slayer.neurons.{NEURONS[name].module}").neuron)
    for table in NETWORKS["slayer"].values():
        assert table.items() >= NEURONS[name].takes.items()
        assert table["neuron"].default == DEFAULT
        assert name in table["neuron"].choices


def refusal(*overrides: str) -> str:
    document = parse_document(SLAYER, "toy.yaml")
    for override in overrides:
        apply_override(document, override)
    with pytest.raises(ConfigError) as error:
        validate(document)
    return str(error.value)


def test_an_unknown_neuron_is_answered_with_those_that_there_are() -> None:
    said = refusal("fixed.neuron=izhikevich")
    assert f'{", ".join(NEURONS)} is allowed, found "izhikevich"' in said


def test_the_librarys_engine_takes_no_neuron_that_the_library_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NEURONS, "alif", NeuronKind("alif_layer", {}))  # type: ignore[arg-type]  # a dict after all
    for given in ((), ("fixed.neuron=alif",)):
        said = refusal("trainer.engine=library", *given)
        assert "trainer.engine: must be fast: the library has no neuron alif" in said
