"""A graph printed as one plain NumPy program."""
