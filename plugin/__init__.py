"""The agent a till runs, and its command."""

__version__ = "0.1.0"
