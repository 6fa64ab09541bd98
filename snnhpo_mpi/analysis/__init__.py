"""A record in, numbers out; nothing here draws or prints."""
