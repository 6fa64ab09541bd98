"""Trains anybody's ``torch.nn.Module``, as it is.

``network`` imports and builds it. ``probe`` finds what in it spikes, and which of its axes are samples and time.
``adapters`` is what differs between the libraries of spiking networks. ``learner`` is its part of the training loop.
"""
