"""Models from a device's own timings of whole networks."""
