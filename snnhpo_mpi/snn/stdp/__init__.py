"""Diehl & Cook networks, trained by STDP."""
