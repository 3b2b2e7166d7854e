"""The same small thing ten thousand times: what grows, and what is left behind."""
