"""Cards as data: what lies where on a card, how to read it, what it means.

Pure: reading procedures are generators that yield commands and are sent answers. No rule
of any region and no centre lives here.
"""
