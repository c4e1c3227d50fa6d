"""Converts networks and estimators to the formats of other programs."""
