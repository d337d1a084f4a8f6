"""Several bundles behind one door, and how each of them does."""
