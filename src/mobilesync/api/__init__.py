"""The HTTP door for businesses and operators: publish, configure, inspect, prove, keys, probes.

Where to look: `operations` is what an operation is. Of the operations, `publish`, `dry_run` and
`scheduled` are about oplogs to be; `inspection`, `proof`, `devices` and `interventions` about
stored ones and who gets them; `bizzes` and `config` about rules; `webhooks`, `key_operations`,
`audit`, `mss` and `probes` about what they are named for. `routes` lists them all, `app` serves
the list, `server` opens the port, `openapi` and `reference` describe the list.
"""
