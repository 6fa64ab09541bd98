import torch
from norse.torch import LICell, LIFCell, LIFParameters, LIParameters


class Net(torch.nn.Module):
    """Spikes in the hidden layer, and the potential of leaky integrators as output: T x B x N -> T x B x K."""

    def __init__(self, hidden=100, tau_mem_inv=200.0, v_th=0.5, n_classes=10):
        super().__init__()
        self.fc1 = torch.nn.Linear(28 * 28, hidden)
        parameters = LIFParameters(tau_mem_inv=torch.as_tensor(tau_mem_inv), v_th=torch.as_tensor(v_th), alpha=80.0)
        self.lif = LIFCell(parameters)
        self.fc2 = torch.nn.Linear(hidden, n_classes, bias=False)
        self.readout = LICell(LIParameters())

    def forward(self, x):
        of_lif = of_readout = None
        voltages = []
        for step in x:
            spikes, of_lif = self.lif(self.fc1(step), of_lif)
            voltage, of_readout = self.readout(self.fc2(spikes), of_readout)
            voltages.append(voltage)
        return torch.stack(voltages)
