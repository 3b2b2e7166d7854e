"""Small changes to the pure rooms and the journal, one at a time: do the tests notice?"""
