"""Every fault in every state that a record can stand in (reliability, 5). `tests/matrix` has
the table that says which test is whose."""
