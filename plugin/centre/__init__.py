"""The insurance centre, which holds the truth about activation: a port, and one file per
kind of centre.
"""
