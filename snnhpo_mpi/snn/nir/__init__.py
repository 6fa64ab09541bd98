"""Trained networks in the Neuromorphic Intermediate Representation (NIR), which deployment tools read.

Source: Pedersen et al., "Neuromorphic intermediate representation: A unified instruction set for interoperable
brain-inspired computing", Nature Communications 15, 8122 (2024).
"""
