"""Moves messages: rank 0's loop, the worker ranks' supervisors and their evaluator processes. No torch in here."""
