import torch.nn as nn
from spikingjelly.activation_based import functional, layer, neuron, surrogate


class Net(nn.Module):
    """A convolutional network in multi-step mode: T x B x C x H x W -> T x B x K."""

    def __init__(self, channels=8, tau=2.0, v_threshold=1.0, n_classes=10):
        super().__init__()
        lif = {"tau": tau, "v_threshold": v_threshold, "surrogate_function": surrogate.ATan()}
        self.layers = nn.Sequential(
            layer.Conv2d(1, channels, 5, stride=2, padding=2, bias=False),
            layer.BatchNorm2d(channels),
            neuron.LIFNode(**lif),
            layer.MaxPool2d(2),
            layer.Flatten(),
            layer.Linear(channels * 7 * 7, n_classes, bias=False),
            neuron.LIFNode(**lif),
        )
        functional.set_step_mode(self, "m")

    def forward(self, x):
        return self.layers(x)
