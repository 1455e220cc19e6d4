"""The whole system under one seed: server, network, disk, devices and publishers in virtual time.

Begin with `run_seed`: it runs one seed and reports which guarantees were broken. The same seed
always does the same. How it works: docs/simulator.md.
"""

from mobilesync.sim.run import Report, SimOptions, run_seed, run_seeds

__all__ = ["Report", "SimOptions", "run_seed", "run_seeds"]
