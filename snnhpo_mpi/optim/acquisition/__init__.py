"""What a point is worth: one file an acquisition."""
