"""What `kaqi` does, a file a command. Each is told everything it needs and returns its
exit code; only `cli` knows options.
"""
