"""Adaptive leaky integrate-and-fire neurons with a surrogate gradient: their equations as numbers.

    u <- (1 - d_u) u + z             r <- (1 - d_r) r        s = v >= threshold + a + r
    v <- (1 - d_v) v + u             a <- (1 - d_a) a        then r + 2 (threshold + a), a + step where it fires

in whole numbers of 1/4096, decays rounded towards zero, as Loihi computes them; the gradient of a spike is
scale / (2 tau) exp(-|v - threshold - a - r| / tau), and none flows through a and r. Source: lava-dl 0.6.0,
``slayer.neuron.alif``; Shrestha & Orchard, NeurIPS 2018 (SLAYER), section 3. Outputs and gradients equal the library's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from snnhpo_mpi.trial import Params

DECAY_ONE = 1 << 12  # a decay of 1, and a potential of 1, in the library's whole numbers
WEIGHT_ONE = 1 << 6
TAU_SCALE, GRAD_SCALE = 100.0, 0.1  # of the library, so that its parameters are near 1


@dataclass(frozen=True, slots=True)
class Alif:
    """Constants of a layer in whole numbers of the library, ``keep_`` being what a step leaves; and of its gradient."""

    threshold: int
    threshold_step: int
    keep_current: float
    keep_voltage: float
    keep_threshold: float
    keep_refractory: float
    tau: float
    scale: float


def alif(params: Params) -> Alif:
    """The hyperparameters of a network, rounded as the library rounds them."""
    value = {name: float(number) for name, number in params.items() if not isinstance(number, str)}
    threshold = int(value["threshold"] * WEIGHT_ONE) / WEIGHT_ONE

    def keep(name: str) -> float:
        decay = torch.tensor(DECAY_ONE * value[f"{name}_decay"], dtype=torch.float32)
        if name in ("current", "voltage"):
            decay = decay.clamp(0, DECAY_ONE)
        return 1.0 - float(decay.round()) / DECAY_ONE

    return Alif(
        threshold=int(threshold * DECAY_ONE),
        threshold_step=int(int(value["threshold_step"] * WEIGHT_ONE) / WEIGHT_ONE * DECAY_ONE),
        keep_current=keep("current"),
        keep_voltage=keep("voltage"),
        keep_threshold=keep("threshold"),
        keep_refractory=keep("refractory"),
        tau=value["tau_grad"] * threshold * TAU_SCALE,
        scale=value["scale_grad"] * GRAD_SCALE,
    )
