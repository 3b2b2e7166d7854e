"""Hostile bytes at every place where bytes come in, guided by what they make the code do."""
