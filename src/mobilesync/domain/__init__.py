"""The words of the system as values: names, channels, oplogs, sync points, rules, errors. Pure.

Begin with `channel` (the unit of order), `oplog` (one stored change) and `sync_point` (how far a
device is, and what is left of that after a restore).
"""
