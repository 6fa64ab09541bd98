"""Kernels of our own for GPUs, which compute many of a network's operations in one launch.

They are Triton's, which comes with torch and compiles them at their first use. Its interpreter (TRITON_INTERPRET=1)
runs them on a CPU. Where they cannot be compiled, torch's operations do the same.
"""
