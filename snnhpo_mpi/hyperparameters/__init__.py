"""What networks and the keys of a configuration may be: tables that need no torch."""
