"""Predictions with intervals that hold, and how good they are on networks never seen."""
