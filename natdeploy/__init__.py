"""natdeploy: from images, a device and a latency budget to compiled, verified models."""

__version__ = "0.1.0"
