"""The service without a network: publish, append, wake, pump, push, ack, advance, trim.

Read it in the order of the path: `publisher` (validates and appends), `waker` (tells who watches),
`pump` with `feed` and `window` (what is pushed next, and how much at a time), `session` (one
device: login, acks), `sessions` (all of them). `service` puts them together; `link` is what it
needs of a network, and `push_gateway` of a push service.
"""
