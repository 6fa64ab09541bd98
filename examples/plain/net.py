import torch


class Spike(torch.autograd.Function):
    """1 above the threshold; backwards a steep sigmoid's slope."""

    @staticmethod
    def forward(ctx, excess):
        ctx.save_for_backward(excess)
        return (excess > 0).to(excess.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (excess,) = ctx.saved_tensors
        return gradient / (1 + 10 * excess.abs()) ** 2


class LIF(torch.nn.Module):
    """Leaky integrate-and-fire neurons; called once a time step, they remember their potential."""

    def __init__(self, beta, threshold):
        super().__init__()
        self.beta, self.threshold = beta, threshold
        self.reset_state()

    def reset_state(self):  # called before each batch
        self.potential = 0.0

    def forward(self, current):
        self.potential = self.beta * self.potential + current
        spikes = Spike.apply(self.potential - self.threshold)
        self.potential = self.potential - spikes * self.threshold
        return spikes


class Net(torch.nn.Module):
    """Called once a time step: B x N -> B x K."""

    def __init__(self, hidden=100, beta=0.9, threshold=1.0, n_classes=10):
        super().__init__()
        self.fc1 = torch.nn.Linear(28 * 28, hidden)
        self.lif1 = LIF(beta, threshold)
        self.fc2 = torch.nn.Linear(hidden, n_classes)
        self.lif2 = LIF(beta, threshold)

    def forward(self, x):
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))
