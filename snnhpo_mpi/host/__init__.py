"""What a process finds on its host (launcher, scheduler, device, disk) and sets for itself. Never imports torch."""
