"""Everything that knows a reader.

The ports a reader must satisfy, the errors it may raise, and one file per way of
reaching one. Nothing here knows what a card means or what an activation is.
"""
