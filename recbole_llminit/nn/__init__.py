"""The user-item graph: its normalised adjacency, and propagation over it."""
