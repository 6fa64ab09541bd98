"""Gaussian processes: one a model output, fitted, conditioned and evaluated."""
