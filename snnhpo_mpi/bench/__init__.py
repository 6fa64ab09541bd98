"""Measure parts of the program; run by hand, results go to ``results/reference``."""
