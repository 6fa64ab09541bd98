"""Networks trained by SLAYER's surrogate gradients."""
