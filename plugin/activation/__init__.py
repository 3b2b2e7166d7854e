"""What happens at the counter, and what is promised about it.

Pure: `desk` is the journey of one transaction, `saga` the durable life of one activation,
`rules` and `region` what a city allows. Events come in, states and effects go out; no
reader, clock, journal or network is known here.
"""
