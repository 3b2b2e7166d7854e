"""Whole agents that are killed, stopped and lied to at every place that matters."""
