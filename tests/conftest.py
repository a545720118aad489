"""Settings of all tests."""

from hypothesis import settings

# Absolute times say nothing on a busy machine: an example may take as long as it takes.
settings.register_profile("natdeploy", deadline=None)
settings.load_profile("natdeploy")
