"""How fast and how small: each figure beside a floor measured in the same run.

`make bench` prints one table and fails when a gate is missed. Processes named `process_*`
and `server_*` are started by the rows, so that nobody shares an interpreter lock with what
is measured. Nothing here is collected by pytest, and nothing but the table is a result.
"""
