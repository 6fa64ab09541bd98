import numpy as np
import pytest

from snnhpo_mpi.snn.early_stopping.sequential_test import exceeds, log_evidence


def test_evidence_by_hand() -> None:
    # One silent sample: E[p | p > beta] / beta = (1 + beta) / (2 beta).
    assert np.exp(log_evidence(1, 1, 0.1)) == pytest.approx(1.1 / 0.2)
    # One active sample: E[1 - p | p > beta] / (1 - beta) = 1/2.
    assert np.exp(log_evidence(0, 1, 0.1)) == pytest.approx(0.5)


def test_no_event_is_evidence_for_nothing_and_any_is_enough_where_none_is_tolerated() -> None:
    assert not exceeds(0, 10**6, 0.0)
    assert exceeds(1, 10**6, 0.0)
    assert not exceeds(0, 0, 0.1)
