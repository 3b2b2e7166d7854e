"""The agent a till runs, and its command."""
