"""Whole journeys, with real HTTP and a real centre process."""
