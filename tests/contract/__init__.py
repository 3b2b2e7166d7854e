"""One suite per port: every implementation must pass it."""
