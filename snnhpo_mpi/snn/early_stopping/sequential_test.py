"""The evidence that an event happens to more than a tolerated share of samples, which may be looked at at any time.

Source: the mixture likelihood ratio of Robbins, Ann. Math. Statist. 41 (1970), with a uniform prior.

Notation
    n samples seen    k of them with the event    p true rate of the event    beta tolerated rate
"""

from __future__ import annotations

import math

from scipy.special import betainc, betaln

FALSE_STOP_PROBABILITY = 0.01  # of a network whose rate is beta, over a whole epoch, however often one looks


def log_evidence(k: int, n: int, beta: float) -> float:
    """Log likelihood ratio of p ~ U(beta, 1] to p = beta, after ``k`` events in ``n`` samples.

    For p <= beta its exponential is a supermartingale, so by Ville's inequality it ever exceeds 1 / delta with
    probability at most delta: the test may be looked at after every batch.
    """
    if beta == 0.0:
        return math.inf if k else -math.inf
    a, b = k + 1, n - k + 1
    tail = 1.0 - float(betainc(a, b, beta))
    if tail <= 0.0:
        return -math.inf
    log_mixture = float(betaln(a, b)) + math.log(tail) - math.log1p(-beta)
    return log_mixture - k * math.log(beta) - (n - k) * math.log1p(-beta)


def exceeds(k: int, n: int, beta: float) -> bool:
    """Whether ``k`` events in ``n`` samples are 100 times likelier under p > beta than under p = beta."""
    return log_evidence(k, n, beta) > -math.log(FALSE_STOP_PROBABILITY)
