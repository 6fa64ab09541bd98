"""Train and score one spiking network: data, spikes, early stopping, and a trainer for each learning rule."""
