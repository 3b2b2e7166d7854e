"""The first durable copy of everything this till has promised.

Rows never carry personal data in clear, and every row carries a code that shows when it
was changed outside. A journal belongs to one machine and one process.
"""
