"""Cards, readers and an insurance centre made of software.

Laid out from the domain facts on its own: nothing here is shared with the agent's view of
a card, so that a mistake on one side shows on the other. People and keys are invented.
"""
