"""The simulated insurance centre: an HTTP server of its own, in a process of its own.

    python -m simulator.centre --port 0

prints one line of JSON with its address and serves until its standard input closes. It
judges by the cast's records, counts every effect, and can be told under /simulation to be
slow, to lose requests or answers, to refuse, or to answer nonsense. Refusals are never
remembered against a card; the same message gets the same answer.
"""
