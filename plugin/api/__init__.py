"""The localhost API: HTTP in, the agent's verbs, HTTP out. Thin on purpose; what is
decided is decided in `agent`, what is said comes from `texts`.
"""
