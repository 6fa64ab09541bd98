"""lava-dl's CUDA kernels: compiled once before a job (``build``) into a cache, from which ranks load them (``cache``).

By itself lava-dl compiles a kernel when it first needs it, in the home folder, five of them under one name: ranks that
start together race, a build that was killed leaves a lock on which all others wait, and kernels replace one another.
"""
