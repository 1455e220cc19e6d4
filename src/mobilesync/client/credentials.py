"""Who the device says it is: a user, and a token that proves it.

Strategy: the app gives a token, or a callable that gets one. A token is kept until the server
refuses it; only then is the callable asked again. Who waits between two asks is the connector.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from mobilesync.client.errors import InvalidOption, TokenFailed
from mobilesync.protocol import limits

TokenSource = str | Callable[[], str | Awaitable[str]]


class Credentials:
    """One user (empty for nobody) and where their token comes from."""

    def __init__(self, user: str, source: TokenSource, timeout_s: float) -> None:
        """Raises InvalidOption."""
        if len(user) > limits.OWNER_CHARS_MAX:
            raise InvalidOption(f"a user id has at most {limits.OWNER_CHARS_MAX} characters")
        if isinstance(source, str):
            _check(source)
        elif not callable(source):
            raise InvalidOption("token is neither a str nor a callable")
        self.user = user
        self._source = source
        self._timeout_s = timeout_s
        self._token = source if isinstance(source, str) else ""

    @property
    def renewable(self) -> bool:
        """Whether a refused token can be replaced without the app's doing."""
        return not isinstance(self._source, str)

    async def token(self) -> str:
        """The token to show. Raises TokenFailed."""
        if self._token or isinstance(self._source, str):
            return self._token
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = self._source()
                token = await answer if inspect.isawaitable(answer) else answer
            self._token = _check(token)
        except TimeoutError as error:
            raise TokenFailed(f"no token within {self._timeout_s:g} s") from error
        except Exception as error:
            # Only the kind: the text of the app's error may hold a secret.
            raise TokenFailed(f"the token callable failed: {type(error).__name__}") from error
        return self._token

    def refuse(self, token: str) -> bool:
        """The server refused `token`; whether another one can be had."""
        if self._token != token:
            return True
        if self.renewable:
            self._token = ""
        return self.renewable

    def revert(self, user: str) -> "Credentials":
        """The same source for another user, to be asked anew."""
        return Credentials(user, self._source, self._timeout_s)


def _check(token: object) -> str:
    if not isinstance(token, str) or not 0 < len(token) <= limits.TOKEN_CHARS_MAX:
        hint = f"a token is a str of 1 to {limits.TOKEN_CHARS_MAX} characters"
        raise InvalidOption("not a token", hint=hint)
    return token
