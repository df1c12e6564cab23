"""Settings of all tests."""

from hypothesis import settings

# The same examples at every run, so that a failure is due to the change at hand,
# and no deadline, which a busy machine would miss.
settings.register_profile("same at every run", derandomize=True, deadline=None)
settings.load_profile("same at every run")
