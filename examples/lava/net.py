import torch
from lava.lib.dl import slayer


class Net(torch.nn.Module):
    """Two dense layers of current-based neurons, with time last: B x N x T -> B x K x T."""

    def __init__(self, hidden=64, threshold=0.5, current_decay=0.5, voltage_decay=0.1, tau_grad=0.3, n_classes=10):
        super().__init__()
        neuron = {
            "threshold": threshold,
            "current_decay": current_decay,
            "voltage_decay": voltage_decay,
            "tau_grad": tau_grad,  # width of the surrogate gradient
        }
        self.blocks = torch.nn.ModuleList(
            [
                slayer.block.cuba.Dense(neuron, 28 * 28, hidden),
                slayer.block.cuba.Dense(neuron, hidden, n_classes),
            ]
        )

    def forward(self, spikes):
        for block in self.blocks:
            spikes = block(spikes)
        return spikes
