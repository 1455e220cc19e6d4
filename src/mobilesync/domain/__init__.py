"""The words of the system as values: names, channels, oplogs, sync points, rules, errors. Pure."""
