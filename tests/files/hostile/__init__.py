"""Hostile files: for each reader its seeds, a mutator that knows the format, a reader to compare with.

`formats.py` has a record for each reader of the library, `mutate.py` turns a number into a changed
file, `readers.py` and `toml_reader.py` are the slow, strict readers written from the formats'
descriptions, `harness.py` runs mutations in processes under limits, `cases.py` has those made by
hand.
"""
