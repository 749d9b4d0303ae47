"""Ways to run a graph, one folder each; none knows another."""
