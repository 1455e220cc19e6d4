"""Everything that can go wrong below the doors, as one tree.

    MobilesyncError            carries `code` (stable, for programs) and `hint` (what to do)
    ├── InvalidRequest         the caller must change the request; never retried
    │   ├── UnknownApp
    │   ├── UnknownBiz
    │   ├── UnknownWebhook
    │   ├── BizOffline
    │   ├── WrongTarget        the biz's sync config has no such targets
    │   ├── NotFound           what is named is not there, or not any more
    │   ├── Conflict           somebody else has changed it meanwhile
    │   └── TooLarge           a payload, a batch or a body over its bound
    ├── Refused                nothing was stored; the same request may work later
    │   ├── Overloaded         a queue is full or a rate is exceeded
    │   └── StoreUnavailable   the store cannot write (disk full, corrupt, closing)
    ├── OutcomeUnknown         it may or may not be stored: ask again with the same message id
    ├── StoreFolderRefused     the data folder is newer, foreign, locked or damaged
    └── TokenRefused           a device's token; carries the protocol's close code

The doors translate: api/ to an HTTP status, the gateway to a close code.
"""

from mobilesync.protocol.codes import CloseCode


class MobilesyncError(Exception):
    """Something this system refuses or cannot do."""

    code = "INTERNAL"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidRequest(MobilesyncError):
    """The request breaks a rule; `field` names the part that does."""

    code = "INVALID_REQUEST"

    def __init__(self, message: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


class UnknownApp(InvalidRequest):
    """No such app on this server."""

    code = "UNKNOWN_APP"


class UnknownBiz(InvalidRequest):
    """The app has no such biz, and the server does not create bizzes on first use."""

    code = "UNKNOWN_BIZ"


class UnknownWebhook(InvalidRequest):
    """The app has no such webhook."""

    code = "UNKNOWN_WEBHOOK"


class BizOffline(InvalidRequest):
    """The biz was taken offline: it refuses publishes."""

    code = "BIZ_OFFLINE"


class WrongTarget(InvalidRequest):
    """The biz's scope or target kind does not fit the target."""

    code = "WRONG_TARGET"


class NotFound(InvalidRequest):
    """What is named is not there."""

    code = "NOT_FOUND"


class Conflict(InvalidRequest):
    """What the request is about was changed by somebody else since the caller looked at it."""

    code = "CONFLICT"


class TooLarge(InvalidRequest):
    """Over a bound of size."""

    code = "TOO_LARGE"


class Refused(MobilesyncError):
    """Not now. Nothing was stored."""

    code = "REFUSED"

    def __init__(self, message: str, *, retry_after_s: float = 1.0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class Overloaded(Refused):
    """A bounded queue is full, or a rate is exceeded."""

    code = "OVERLOADED"


class StoreUnavailable(Refused):
    """The store takes no writes now; what it holds stays readable."""

    code = "STORE_UNAVAILABLE"


class OutcomeUnknown(MobilesyncError):
    """The store failed while it wrote: the oplogs may or may not be there after a restart.

    Publish again with the same message ids: what was stored is then answered as a duplicate.
    """

    code = "OUTCOME_UNKNOWN"


class StoreFolderRefused(MobilesyncError):
    """The data folder cannot be opened by this version; nothing in it was touched."""

    code = "STORE_FOLDER_REFUSED"


class TokenRefused(MobilesyncError):
    """A device's token is not good."""

    code = "TOKEN_REFUSED"

    def __init__(self, close_code: CloseCode, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.close_code = close_code
