"""Where oplogs are kept: one contract and the stores that fulfil it.

`contract` is what the engine relies on, above all that `append` answers when it is durable and
`read` shows nothing else; `memory` is the plainest store that fulfils it, `embedded` the one that
serves.
"""
