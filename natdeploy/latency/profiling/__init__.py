"""Timing a device: which networks and kernels, how many, how long, and whether the model still holds."""
