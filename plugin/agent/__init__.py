"""The IO shell: turns what readers, clients and the centre do into events for the pure
rooms, and carries out what those ask for. One thread decides, others wait for the world.
"""
