"""How a network is given samples, and which of the things that it returns is its output."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

LAYOUTS = {
    "BTN": "samples x steps x features",
    "TBN": "steps x samples x features",
    "BNT": "samples x features x steps",
    "step": "samples x features, once a step",
    "BN": "samples x features, once",
}
"""What ``forward`` is given."""


@dataclass(frozen=True, slots=True)
class Presentation:
    """As the configuration says it (``TorchSettings``)."""

    layout: str
    features: str
    output: int

    def with_features(self, features: str) -> Presentation:
        """Another way to give them."""
        return replace(self, features=features)

    def returned(self, network: torch.nn.Module, samples: Tensor) -> list[Any]:
        """Call the network: what each call returns.

        Args:
            network: in a state without past.
            samples: ``B x T x C x H x W``.
        """
        given = samples.flatten(2) if self.features == "flat" else samples
        match self.layout:
            case "TBN":
                return [network(given.transpose(0, 1))]
            case "BNT":
                return [network(given.movedim(1, -1))]
            case "BN":
                return [network(given[:, 0])]
            case "step":
                return [network(given[:, step]) for step in range(given.shape[1])]
            case _:
                return [network(given)]

    def chosen(self, returned: Any) -> Tensor:
        """The output among what one call returned; a list of steps is stacked.

        Raises:
            ValueError: there is none.
        """
        one = returned
        if isinstance(one, tuple):
            if self.output >= len(one):
                raise ValueError(
                    f"forward returns a tuple of {len(one)}; trainer.output: {self.output} is none of them"
                )
            one = one[self.output]
        if isinstance(one, list) and one and all(isinstance(step, Tensor) for step in one):
            one = torch.stack(one)
        if not isinstance(one, Tensor):
            raise ValueError(
                f"forward must return a tensor, or a tuple with it as element trainer.output ({self.output}); found "
                f"{_kind(returned)}"
            )
        return one


def _kind(found: Any) -> str:
    if isinstance(found, tuple):
        return f"a tuple of {', '.join(type(one).__name__ for one in found)}"
    return f"a {type(found).__name__}"
