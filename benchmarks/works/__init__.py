"""The works that all systems do: one module for each."""
