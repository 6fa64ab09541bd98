import sinabs.layers as sl
import torch.nn as nn


class Net(nn.Module):
    """Convolutions, with samples and steps in one axis as sinabs has them: B x T x C x H x W -> B x T x K."""

    def __init__(self, channels=8, tau_mem=20.0, spike_threshold=1.0, n_classes=10, n_steps=8):
        super().__init__()
        lif = {"tau_mem": tau_mem, "spike_threshold": spike_threshold, "norm_input": False, "num_timesteps": n_steps}
        self.layers = nn.Sequential(
            nn.Conv2d(1, channels, 5, stride=2, padding=2, bias=False),
            sl.LIFSqueeze(**lif),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(channels * 7 * 7, n_classes, bias=False),
            sl.LIFSqueeze(**lif),
        )

    def forward(self, x):
        return self.layers(x.flatten(0, 1)).unflatten(0, x.shape[:2])
