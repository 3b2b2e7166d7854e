"""The real saga and the real runner in a world where one seed decides everything."""
