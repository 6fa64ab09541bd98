"""Composition: the one place where configuration, optimizer, messages, networks and record meet."""
