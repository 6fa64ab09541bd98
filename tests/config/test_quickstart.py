from pathlib import Path

import pytest

from snnhpo_mpi.config import StdpSettings, StudyConfig, load_config
from snnhpo_mpi.hyperparameters.networks import defaults

RESETS_AND_INPUT_TRACE = {"e_reset", "i_reset", "x_tc_trace"}  # fixed in the paper


@pytest.fixture(scope="module")
def config() -> StudyConfig:
    return load_config(Path(__file__).parents[2] / "configs" / "quickstart.yaml")


def test_quickstart_searches_the_papers_19_hyperparameters(config: StudyConfig) -> None:
    assert isinstance(config.trainer, StdpSettings)
    assert set(config.space) == set(defaults("stdp", config.trainer.network)) - RESETS_AND_INPUT_TRACE
    assert len(config.space) == 19


def test_quickstart_is_compared_with_the_librarys_own_values(config: StudyConfig) -> None:
    library = defaults("stdp", "diehl_cook")
    assert config.baseline is not None
    assert dict(config.baseline.params) == {name: library[name] for name in config.space}
    assert not config.fixed
