"""Calls the API from httpx without a socket, for tests that are not about connections."""

import asyncio

import httpx

from mobilesync.api.incoming import Answers, Incoming


class InProcess(httpx.AsyncBaseTransport):
    """A body of known size is there with the head, as most are; others come as they are asked for,
    part by part."""

    def __init__(self, api: Answers) -> None:
        self._api = api

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.raw}
        incoming = Incoming(request.method, request.url.raw_path, headers, "127.0.0.1")
        if isinstance(request.stream, httpx.ByteStream):
            for part in request.stream:
                incoming.feed(part)
            incoming.end()
            answer = await self._api.answer(incoming)
        else:
            wanted = asyncio.Event()
            incoming.on_wait = wanted.set
            sending = asyncio.create_task(_send(request, incoming, wanted))
            answer = await self._api.answer(incoming)
            sending.cancel()
        assert answer is not None, "who waits for an answer gets one"
        sent = [line.partition(b": ") for line in answer.head.split(b"\r\n")[:-1]]
        answered = [(name, value) for name, _, value in sent]
        if answer.close:
            answered.append((b"connection", b"close"))
        return httpx.Response(answer.status, headers=answered, content=answer.body)


async def _send(request: httpx.Request, incoming: Incoming, wanted: asyncio.Event) -> None:
    assert isinstance(request.stream, httpx.AsyncByteStream)
    await wanted.wait()
    async for part in request.stream:
        incoming.feed(part)
        wanted.clear()
        await wanted.wait()
    incoming.end()
