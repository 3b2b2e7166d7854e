"""Tests of the tests: one-line patches that break a promise, each of which must turn a
ring red. A saboteur that nobody notices is a promise that nobody checks.
"""
