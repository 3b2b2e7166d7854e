"""ISO 7816 as values: commands, responses, status words, data objects, answers to reset.

Pure: bytes in, values out. No reader, clock or log ever enters this room.
"""
