"""The matrix of faults and states (reliability, 5): which test shows each, and whether it
passed just now.

`matrix.tsv` is reviewed by people: a fault, its name, the states that a row is about
(`every`: all of which no row before has spoken), and what shows it there: a test, or the key
of a reason in `reasons.tsv` why it cannot happen or cannot be shown here. In the name of a
test `{fault}` and `{state}` stand for the row's own and `*` for anything; a name without
brackets means every case of the test. READY has no rows: no record stands in it.
"""
