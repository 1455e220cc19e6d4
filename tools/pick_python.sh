#!/bin/sh
# Print the Python that .venv is made with: $PYTHON if it is set, else the first of the names below
# that really runs (a version switcher may leave a name behind that does not), is 3.11 or newer, and
# can make a virtual environment. Else say what to do, and fail.
set -u

ok='import sys; sys.exit(sys.version_info < (3, 11))'
complete='import ensurepip, venv'

incomplete=
for python in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    "$python" -c "$ok" >/dev/null 2>&1 || continue
    if "$python" -c "$complete" >/dev/null 2>&1; then
        echo "$python"
        exit 0
    fi
    incomplete=$python
done

if [ -n "$incomplete" ]; then
    echo "$incomplete cannot make a virtual environment: it lacks venv or ensurepip." >&2
    echo "On Debian or Ubuntu: apt-get install python3-venv" >&2
elif [ -n "${PYTHON:-}" ]; then
    echo "PYTHON=$PYTHON does not run, or is older than Python 3.11." >&2
else
    echo "Mobilesync needs Python 3.11 or newer, and none was found." >&2
    echo "Install one, or name it: make PYTHON=/path/to/python3.12" >&2
fi
exit 1
