"""How the steps of a Diehl & Cook network are computed: by NumPy and torch, by Triton, by BindsNET."""
