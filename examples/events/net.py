import snntorch as snn
import torch
import torch.nn as nn


class Net(nn.Module):
    """Two convolutions on events of 34 x 34 pixels and two polarities: T x B x C x H x W -> spikes T x B x K."""

    def __init__(self, channels=8, beta=0.9, threshold=1.0, n_classes=10):
        super().__init__()
        lif = {"beta": beta, "threshold": threshold, "init_hidden": True}
        self.layers = nn.Sequential(
            nn.Conv2d(2, channels, 5, stride=2),
            snn.Leaky(**lif),
            nn.Conv2d(channels, 2 * channels, 5, stride=2),
            snn.Leaky(**lif),
            nn.Flatten(),
            nn.Linear(2 * channels * 6 * 6, n_classes),
            snn.Leaky(**lif),
        )

    def forward(self, x):
        return torch.stack([self.layers(step) for step in x])
