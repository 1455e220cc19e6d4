"""Mobilesync: an open, self-hosted mobile sync service.

A business server publishes a change; it is stored durably as an oplog and pushed, in order, to
every app that should have it. To use it, start at `mobilesync.client` (in an app),
`mobilesync.publishing` (in a business server) or the command `mobilesync` (the service itself).

To read it, follow one oplog:

1. publish: `api.publish` takes the request, `engine.publisher` judges it whole
2. append: `storage.contract` promises, `storage.embedded` writes and fsyncs, then answers
3. wake: `engine.waker` tells the sessions that watch the target, without data
4. pump: `engine.pump` reads the store after the session's cursor (`engine.feed`, `engine.window`)
5. push: `protocol.messages.Push` goes out through `transports`
6. apply: `client.local_store` saves oplogs and sync point at once, `client.dispatcher` hands over
7. ack: `client.acks` says how far the device is, `engine.session` advances its sync point

Imports go one way: protocol, domain, storage, engine, transports, api, cli.

Not here: any code. Every part of the package may import this module, so it imports none of them.
"""

__version__ = "0.1.0"
