"""Errors of the protocol layer.

    ProtocolFault            the peer broke the protocol, or closed: carries the close code
    └── MessageRefused       this side was about to break it: a bug in the caller

The layer above turns a `ProtocolFault` into one Close frame and the end of the connection.
"""

from mobilesync.protocol.codes import MEANINGS, CloseCode


class ProtocolFault(Exception):
    """The peer broke a rule of the protocol."""

    def __init__(self, code: CloseCode, detail: str = "") -> None:
        super().__init__(detail or MEANINGS[code])
        self.code = code
        self.detail = detail or MEANINGS[code]


class MessageRefused(ProtocolFault):
    """This side tried to send what the conversation does not allow now."""
