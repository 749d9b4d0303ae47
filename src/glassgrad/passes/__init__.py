"""Walks over graphs: graph in, graph out. They meet only through the IR."""
