"""Anybody's own ``torch.nn.Module`` as it is: probed, trained and scored."""
