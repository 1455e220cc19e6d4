"""The command line: puts the service together, and speaks to a person."""
