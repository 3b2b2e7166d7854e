"""What a POS, or somebody hostile, sends to the localhost port."""
