"""Readers on a serial line: chip cards by CCID, magnetic stripes by plain text."""
