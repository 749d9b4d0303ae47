"""Any number of a network, derived: recorded values, formulas with numbers, the chain rule.

In the order in which a number passes them: `recording` runs a step and keeps it, `cards` say what is
told of it, `forms` where one number comes from, `expressions` and `derivations` make lines of that
which can be computed again, `story` puts them in order, and `text`, `markdown`, `latex` and `page` write
them out (with `words`, `formulas` and `maps`). A derivative in parts: `paths`, `uses`, `samples`; why one
is 0: `noughts`. The picture of every number: `scalars`, `diagram`. An output in parts: `attribution`.
`explanation` is what a user has in hand.
"""
