"""A rule that every network of the space breaks, or that could never act, is refused with its reason."""

import pytest
import torch

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.config.document import apply_override, parse_document
from snnhpo_mpi.config.validation import validate
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.hyperparameters.firing import first_step, most_of_layer, most_spikes
from snnhpo_mpi.hyperparameters.networks import LAYERS, defaults

STDP = """\
study: {name: toy}
budget: {trials: 10}
trainer:
  name: stdp
  dataset: {name: digits5000, train: 1000, held_out: 500}
  encoding: {steps: 10, max_rate_hz: 128}
space:
  nu_pre: {type: float, low: 1e-4, high: 1e-2, scale: log}
"""
SLAYER = STDP.replace("name: stdp", "name: slayer").replace("nu_pre", "tau_grad")


def load(text: str, *overrides: str) -> StudyConfig:
    document = parse_document(text, "toy.yaml")
    for override in overrides:
        apply_override(document, override)
    return validate(document)


def silent(layer: str, alpha: int) -> str:
    return f"stopping=[{{layer: {layer}, alpha: {alpha}, beta: 0.1}}]"


def saturated(layer: str, **keys: float) -> str:
    rest = "".join(f", {key}: {value}" for key, value in keys.items())
    return f"saturation=[{{layer: {layer}{rest}}}]"


DISTANCE = "trainer.network=diehl_cook_distance"
LIMITS = [
    # one winner a step, from the second step on; what it excites fires a step later
    (STDP, "excitatory", 9, []),
    (STDP, "inhibitory", 8, []),
    # by themselves, if a potential can be over the threshold: in every step
    (STDP, "excitatory", 10, ["fixed.e_rest=-50"]),
    (STDP, "excitatory", 10, ["space.e_thresh={type: float, low: -70, high: 0}"]),
    (STDP, "inhibitory", 100 * 4, ["fixed.i_rest=-30"]),  # 100 neurons, every third step
    (STDP, "excitatory", 2 * 2, ["fixed.map_size=2"]),  # two neurons, every sixth step
    (STDP, "excitatory", 2 * 1, ["fixed.map_size=2", "fixed.e_refrac=8"]),
    (STDP, "excitatory", 2 * 3, ["fixed.map_size=2", "space.e_refrac={type: int, low: 2, high: 8}"]),
    # by distance there is no winner
    (STDP, "excitatory", 100 * 2, [DISTANCE]),
    (STDP, "excitatory", 30 * 2, [DISTANCE, "space.map_size={type: int, low: 10, high: 30}"]),
    (STDP, "inhibitory", 100 * 3, [DISTANCE]),
    (STDP, "excitatory", 100 * 9, [DISTANCE, "fixed.reset_interval=2"]),  # refractory periods end there
    (SLAYER, "output", 10 * 5, []),
    (SLAYER, "output", 10 * 8, ["trainer.network=dense"]),
    (SLAYER, "hidden", 128 * 9, ["trainer.network=dense"]),
    (SLAYER, "hidden", 512 * 4, ["trainer.network=csnn_gesture"]),
]


@pytest.mark.parametrize(("text", "layer", "most", "overrides"), LIMITS)
def test_more_spikes_than_a_layer_can_fire_cannot_be_asked_for(
    text: str, layer: str, most: int, overrides: list[str]
) -> None:
    load(text, *overrides, silent(layer, most))
    with pytest.raises(ConfigError, match=f"key stopping.0.alpha: at most {most} is allowed.*{layer}.*10 time steps"):
        load(text, *overrides, silent(layer, most + 1))


def test_the_issue_s_own_case_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"at most 9 is allowed, .* every network would be stopped, found 11"):
        load(STDP, silent("excitatory", 11))


@pytest.mark.parametrize("layer", LAYERS["csnn"])
def test_a_sample_too_short_for_a_layer_cannot_be_watched(layer: str) -> None:
    n_steps = first_step("csnn", layer)
    with pytest.raises(ConfigError, match="at most 0 is allowed"):
        load(SLAYER, f"trainer.encoding.steps={n_steps}", silent(layer, 1))
    load(SLAYER, f"trainer.encoding.steps={n_steps + 1}", silent(layer, 1))


@pytest.mark.slayer
@pytest.mark.parametrize(
    ("network", "shape"), [("csnn", (1, 28, 28)), ("csnn_gesture", (2, 64, 64)), ("dense", (1, 1, 70))]
)
def test_the_most_eager_network_fires_exactly_what_is_said(network: str, shape: tuple[int, int, int]) -> None:
    from snnhpo_mpi.snn.slayer.csnn import LAYOUTS, Csnn

    eager = {"threshold": 0.02, "current_decay": 1.0, "voltage_decay": 1.0, "threshold_step": 0.0, "dropout": 0.0}
    params = defaults("slayer", network) | eager | {"refractory_decay": 1.0}
    net = Csnn(shape, 10, params, LAYERS[network], LAYOUTS[network]).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.fill_(0.0 if "delay" in name else 2.0)
    n_steps = 12
    output, counts = net(torch.ones(1, n_steps, *shape))
    assert int(counts["output"][0]) == most_of_layer(n_steps, 10, 0, first_step(network, "output"))
    for layer in LAYERS[network]:
        n_neurons, rest = divmod(int(counts[layer][0]), n_steps - first_step(network, layer))
        assert n_neurons > 0 and rest == 0, layer
    assert int(output[0, :, 0].sum()) == most_spikes(n_steps, 0, 1, first_step(network, "output"))


def test_chance_after_more_epochs_than_there_are_never_acts() -> None:
    load(STDP, "chance={after_epochs: 1}")
    with pytest.raises(ConfigError, match=r"key chance.after_epochs: must be at most 1, the most epochs .*, found 5"):
        load(STDP, "chance={after_epochs: 5}")
    load(STDP, "chance={after_epochs: 5}", "fixed.epochs=5")
    load(STDP, "chance={after_epochs: 5}", "space.epochs={type: int, low: 1, high: 5}")
    load(SLAYER, "chance={after_epochs: 5}")
    with pytest.raises(ConfigError, match="at most 4"):
        load(STDP, "chance={after_epochs: 5}", "space.epochs={type: categorical, choices: [1, 4, 2]}")


def test_saturation_that_one_winner_a_step_cannot_reach_never_acts() -> None:
    with pytest.raises(ConfigError, match=r"50 neurons .* 2 times each, .* share of at most 0.04 is allowed here"):
        load(STDP, saturated("excitatory"))
    load(STDP, saturated("excitatory", share=0.04))
    load(STDP, saturated("excitatory"), "fixed.map_size=8")
    load(STDP, saturated("excitatory"), DISTANCE)
    with pytest.raises(ConfigError, match="never acts"):
        load(STDP, saturated("inhibitory"))
    load(STDP, saturated("inhibitory"), "fixed.i_rest=-30")


def test_the_share_that_is_called_allowed_is_allowed() -> None:
    for share in (0.9, 0.2):
        with pytest.raises(ConfigError) as error:
            load(STDP, saturated("excitatory", share=share), "trainer.encoding.steps=40")
        allowed = float(str(error.value).partition("share of at most ")[2].split()[0])
        load(STDP, saturated("excitatory", share=allowed), "trainer.encoding.steps=40")


def test_saturation_of_a_layer_that_nothing_reaches_never_acts() -> None:
    with pytest.raises(ConfigError, match=r"'output' cannot fire in 5 time steps, .* at least 6 are needed"):
        load(SLAYER, saturated("output"), "trainer.encoding.steps=5")
    load(SLAYER, saturated("output", limit=1, share=1), "trainer.encoding.steps=6")


def test_a_warm_up_of_all_samples_never_acts() -> None:
    for section in ("stopping=[{layer: output, alpha: 1, beta: 0.1", "saturation=[{layer: output"):
        load(SLAYER, f"{section}, warm_up: 999}}]")
        with pytest.raises(ConfigError, match=r"0.warm_up: must be less than the 1000 training samples, found 1000"):
            load(SLAYER, f"{section}, warm_up: 1000}}]")


@pytest.mark.parametrize(
    ("network", "changes", "excitatory", "inhibitory"),
    [
        ("diehl_cook", {"e_refrac": 0, "i_refrac": 0}, 9, 8),
        (
            "diehl_cook",
            {"e_refrac": 0, "i_refrac": 0, "e_rest": -50.0},
            10,
            9,
        ),  # fires by itself from the first step on
        ("diehl_cook", {}, None, None),  # all are refractory at once, but one wins
        ("diehl_cook_distance", {}, 200, None),
        ("diehl_cook_distance", {"reset_interval": 2, "map_size": 3}, 3 * 5, None),
    ],
)
def test_the_most_eager_diehl_cook_network_fires_no_more_than_is_said(
    network: str, changes: dict[str, float], excitatory: int | None, inhibitory: int | None
) -> None:
    from snnhpo_mpi.snn.stdp.diehl_cook import DiehlCook
    from snnhpo_mpi.snn.stdp.equations import FORMS

    params = defaults("stdp", network) | {"strength_inh": 0.0, "strength_exc": 1e3, "norm": 1e4} | changes
    torch.manual_seed(0)
    net = DiehlCook(params, 50, 1.0, torch.device("cpu"), FORMS[network])
    response = net.train(torch.ones(1, 10, 1, 5, 10, dtype=torch.bool))
    fired = {"excitatory": int(response.excitatory.sum()), "inhibitory": int(response.inhibitory.sum())}
    assert excitatory is None or fired["excitatory"] == excitatory
    assert inhibitory is None or fired["inhibitory"] == inhibitory
    overrides = [f"trainer.network={network}", *(f"fixed.{name}={value}" for name, value in changes.items())]
    for layer, count in fired.items():
        load(STDP, *overrides, silent(layer, max(count, 1)))
