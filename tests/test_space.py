import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from snnhpo_mpi.config import CategoricalParameter, FloatParameter, IntParameter
from snnhpo_mpi.space import Space

PARAMETERS = {
    "linear": FloatParameter(type="float", low=-59, high=0),
    "log": FloatParameter(type="float", low=1e-4, high=1e-2, scale="log"),
    "reverse": FloatParameter(type="float", low=1e6, high=2e7, scale="reverse_log"),
    "epochs": IntParameter(type="int", low=1, high=3),
    "filters": IntParameter(type="int", low=1, high=128, scale="log"),
    "decoder": CategoricalParameter(type="categorical", choices=("all", "vote", "2gram")),
}
SPACE = Space(PARAMETERS)


@pytest.mark.parametrize("scale", ["linear", "log", "reverse_log"])
@pytest.mark.parametrize(("low", "high"), [(1.0, 100.0), (0.1, 0.3), (1e-5, 7.3)])
def test_the_ends_of_a_float_are_decoded_exactly(scale: str, low: float, high: float) -> None:
    space = Space({"x": FloatParameter(type="float", low=low, high=high, scale=scale)})
    assert space.decode(np.zeros(1)) == {"x": low}
    assert space.decode(np.ones(1)) == {"x": high}


def test_columns_are_laid_out_in_the_order_of_the_configuration() -> None:
    assert SPACE.names == tuple(PARAMETERS)
    assert SPACE.dim == 8
    assert SPACE.onehot_blocks == ((5, 6, 7),)
    assert SPACE.integer_columns == {3: 3, 4: 128}


def test_log_axis_puts_the_geometric_mean_in_the_middle() -> None:
    params = SPACE.decode(np.full(8, 0.5))
    assert params["linear"] == pytest.approx(-29.5)
    assert params["log"] == pytest.approx(1e-3)
    assert params["reverse"] == pytest.approx(2.1e7 - math.sqrt(1e6 * 2e7))


@pytest.mark.parametrize(("u", "params"), [(0.0, (-59, 1e-4, 1e6, 1, 1)), (1.0, (0, 1e-2, 2e7, 3, 128))])
def test_ends_of_the_cube_are_the_bounds(u: float, params: tuple[float, ...]) -> None:
    assert tuple(SPACE.decode(np.full(8, u)).values())[:5] == pytest.approx(params)


def test_every_value_of_a_linear_int_is_equally_likely() -> None:
    u = (np.arange(3000) + 0.5) / 3000
    values = [Space({"epochs": PARAMETERS["epochs"]}).decode(np.array([x]))["epochs"] for x in u]
    assert [values.count(n) for n in (1, 2, 3)] == [1000, 1000, 1000]


def test_the_room_of_an_int_reaches_its_neighbours_on_a_log_axis_too() -> None:
    space = Space({"filters": PARAMETERS["filters"]})
    for value in (1, 2, 60, 128):
        below, above = space.int_room(0, float(space.encode({"filters": value})[0]))
        found = {space.decode(np.array([u]))["filters"] for u in np.linspace(below + 1e-9, above - 1e-9, 50)}
        assert found == {n for n in (value - 1, value, value + 1) if 1 <= n <= 128}


def test_categorical_is_one_hot_and_decodes_by_its_largest_column() -> None:
    assert SPACE.encode(SPACE.decode(np.full(8, 0.5)) | {"decoder": "vote"})[5:].tolist() == [0, 1, 0]
    assert SPACE.decode(np.array([0.5] * 5 + [0.2, 0.3, 0.9]))["decoder"] == "2gram"


@given(arrays(np.float64, 8, elements=st.floats(0, 1)))
def test_every_point_decodes_inside_the_bounds(x: np.ndarray) -> None:
    params = SPACE.decode(x)
    for name, parameter in PARAMETERS.items():
        if isinstance(parameter, CategoricalParameter):
            assert params[name] in parameter.choices
        else:
            assert parameter.low <= params[name] <= parameter.high
            assert isinstance(params[name], int if isinstance(parameter, IntParameter) else float)


@given(arrays(np.float64, 8, elements=st.floats(0, 1)))
def test_snap_is_the_encoding_of_what_a_point_decodes_to(x: np.ndarray) -> None:
    snapped = SPACE.snap(x[None])[0]
    np.testing.assert_allclose(snapped, SPACE.encode(SPACE.decode(x)), rtol=0, atol=1e-9)
    assert np.array_equal(SPACE.snap(snapped[None])[0], snapped)
    discrete = ("epochs", "filters", "decoder")
    assert {n: SPACE.decode(snapped)[n] for n in discrete} == {n: SPACE.decode(x)[n] for n in discrete}


@given(st.integers(1, 128), st.integers(1, 3))
def test_every_int_survives_the_round_trip(filters: int, epochs: int) -> None:
    params = SPACE.decode(np.full(8, 0.3)) | {"filters": filters, "epochs": epochs}
    decoded = SPACE.decode(SPACE.encode(params))
    assert (decoded["filters"], decoded["epochs"]) == (filters, epochs)


def test_values_of_equal_size_get_the_type_of_their_hyperparameter() -> None:
    space = Space(
        {
            "f": FloatParameter(type="float", low=0, high=4),
            "i": IntParameter(type="int", low=0, high=4),
            "c": CategoricalParameter(type="categorical", choices=(1, "1", 2.5)),
        }
    )
    assert repr(space.typed({"f": 2, "i": 2, "c": 1.0})) == "{'f': 2.0, 'i': 2, 'c': 1}"
    assert repr(space.typed({"f": 2.0, "i": 2, "c": "1"})) == "{'f': 2.0, 'i': 2, 'c': '1'}"
