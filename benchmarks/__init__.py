"""Measurements beside others, on the same work, in the same run.

The path of a run: `__main__` asks each of `works/` for its result; a work lets `systems` take turns
(`works/turns.py`); each turn starts a server (`peers/`), drives the load at it (`live.py`,
`load.py`, the C programs in `native/`) and ends it. Every run is kept (`results.py`), compared
(`ratios.py`), held to the bars (`bars.py`) and shown (`page.py`, `sections.py`, `plots.py`).

Apart from that: `scale.py` (does cost stay flat, on a `stock.py` of oplogs), `store.py` (the store
alone) and `guard.py` (what an oplog costs in calls, held by a test).
"""
