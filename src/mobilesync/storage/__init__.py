"""Where oplogs are kept: one contract (contract.py) and the stores that fulfil it."""
