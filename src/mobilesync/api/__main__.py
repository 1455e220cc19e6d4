"""`python -m mobilesync.api`: write the reference page of the HTTP API to standard output."""

import sys

from mobilesync.api.reference import page

if __name__ == "__main__":
    sys.stdout.write(page())
