"""Models from few timings of a device and many of other devices."""
