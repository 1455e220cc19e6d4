"""The HTTP door for businesses and operators: publish, configure, inspect, keys, probes.

Where to look: `operations` is what an operation is, `publish`, `bizzes`, `inspection`,
`key_operations`, `mss` and `probes` are the operations, `routes` lists them all, `app` serves the
list, `server` opens the port, `openapi` and `reference` describe the list.
"""
