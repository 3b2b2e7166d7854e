"""How a vendor's POS is examined: the situations it is put into, the agent and the customers
it meets there, the record of what it asked, and the checks on that record.
"""
