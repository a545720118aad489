"""Devices that nobody timed, from their hardware profile, and with what little is known beside it."""
