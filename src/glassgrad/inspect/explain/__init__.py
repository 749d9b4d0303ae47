"""Any number of a network, derived: recorded values, formulas with numbers, the chain rule."""
