"""What this process finds on its host: launcher, scheduler, device, disk, signals. Never imports torch."""
