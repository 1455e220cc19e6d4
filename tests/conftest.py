"""What every test shares: how Hypothesis runs.

No deadlines, since a shared machine is slow for reasons that are not bugs. In CI the examples are
the same on each run, so that a red build is about the change; `make fuzz` is where new ones are
sought.
"""

import os

from hypothesis import settings

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("fuzz", deadline=None, max_examples=20_000)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "local")
