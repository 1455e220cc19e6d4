"""The one thread that waits for the disk."""

import asyncio
import threading

from mobilesync.storage.embedded.writer import Writer


async def test_each_request_is_one_sync_and_one_answer_in_the_loop() -> None:
    threads: list[int] = []
    loop = asyncio.get_running_loop()
    writer = Writer(lambda: threads.append(threading.get_ident()), loop)
    answers: list[tuple[Exception | None, int]] = []
    all_there = asyncio.Event()

    def done(error: Exception | None) -> None:
        answers.append((error, threading.get_ident()))
        if len(answers) == 3:
            all_there.set()

    for _ in range(3):
        writer.request(done)
    await asyncio.wait_for(all_there.wait(), 10)
    writer.stop()
    assert answers == [(None, threading.get_ident())] * 3
    assert len(threads) == 3
    assert threading.get_ident() not in threads
    assert len(set(threads)) == 1


async def test_what_goes_wrong_is_the_answer() -> None:
    failure = OSError("EIO")

    def sync() -> None:
        raise failure

    answer: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    writer = Writer(sync, asyncio.get_running_loop())
    writer.request(answer.set_result)
    assert await asyncio.wait_for(answer, 10) is failure
    writer.stop()


def test_a_closed_loop_ends_the_thread_quietly() -> None:
    loop = asyncio.new_event_loop()
    gate = threading.Event()
    writer = Writer(lambda: assert_(gate.wait(10)), loop)
    writer.request(lambda error: None)
    loop.close()
    gate.set()
    writer.stop()


def assert_(truth: bool) -> None:
    assert truth
