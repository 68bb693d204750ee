"""Formulas of the bounds, the sum over classes, noise, and terms that may be added to an objective."""
