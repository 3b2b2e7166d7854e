"""The kaqi command as a user types it."""
