"""Measure parts of the program; run by hand, results in ``results/reference``."""
