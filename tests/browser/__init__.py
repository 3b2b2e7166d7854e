"""Real Chromium against the real agent."""
