"""Everything that the SDK raises, as one tree.

ClientError                carries a `hint`: what to do about it
├── InvalidOption          an argument cannot be right; a bug in the app
│   └── HandlerExists      the biz already has a handler
├── TokenFailed            the app's token callable raised, took too long, or gave no token
├── Superseded             a login whose token came after a later login or logout
├── NotConnected           no session within the asked time; the client goes on trying
├── ClientStopped          the server said stop, or the local store is beyond use
├── StoreRefused           the local store is of a newer version or another device, or in use
├── StoreDamaged           the local store's file is damaged
├── StoreUnavailable       the local store cannot write now (disk full); nothing was changed
└── LinkLost               a connection ended; never leaves the SDK
    └── CertificateRefused the server's certificate is not the pinned one
"""


class ClientError(Exception):
    """Something the SDK refuses or cannot do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidOption(ClientError):
    """An argument that cannot be right."""


class HandlerExists(InvalidOption):
    """The biz already has a handler: unregister it first with `off`."""


class TokenFailed(ClientError):
    """The app's token callable raised, took too long, or gave what cannot be a token."""


class Superseded(ClientError):
    """A later login or logout came while this login waited for its token."""


class NotConnected(ClientError):
    """No session was opened in the asked time. The client goes on trying."""


class ClientStopped(ClientError):
    """The client does not come back by itself; `code` is the close code, or 0 for a local cause."""

    def __init__(self, code: int, reason: str, *, hint: str = "") -> None:
        super().__init__(reason, hint=hint)
        self.code = code
        self.reason = reason


class StoreRefused(ClientError):
    """The local store cannot be opened by this client; nothing in it was touched."""


class StoreDamaged(ClientError):
    """The local store's file is damaged, or is no SQLite database."""


class StoreUnavailable(ClientError):
    """The local store cannot write now. Nothing was changed; the client tries again."""


class LinkLost(ClientError):
    """The connection is of no more use."""


class CertificateRefused(LinkLost):
    """The server showed another certificate than the pinned one."""
