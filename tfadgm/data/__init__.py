"""Data: sources of points, the choice of labels, and the two streams. Knows no model."""
