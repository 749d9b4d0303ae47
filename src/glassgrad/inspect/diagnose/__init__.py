"""`gg.diagnose`: what is wrong with a training that does not learn, each finding with its evidence.

`evidence.py` has what every check reads, collected once: `walk.py` finds the layers of a recorded
step, `neighbours.py` compares rows with rows like them. `structure.py`, `units.py`, `columns.py`,
`labels.py` and `rate.py` look for faults, a family each; `bounds.py` has every number they go by,
`faults.py` is the list of what can be found. `forks.py` trains copies, which is how a fix is tried;
`diagnosis.py` puts everything in order; `watching.py` is the callback.
"""
