"""Propose trials: asynchronous constrained Bayesian optimization and the searches that it is compared with."""
