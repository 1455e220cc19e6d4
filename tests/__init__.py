"""The tests: `tests/a/test_b.py` covers `src/mobilesync/a/b.py` and stands alone for it."""
