"""Data: what people read, and what differs between cities. No code lives here."""
