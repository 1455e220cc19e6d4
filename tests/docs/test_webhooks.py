"""The receiver of the guide, run as it is shown, takes what a real server sends."""

import ast
import asyncio
import re
import sys
from pathlib import Path

import httpx

from mobilesync.engine.events import GAP, KINDS, TEST
from mobilesync.testing import LocalServer
from tests.measurement import unmeasured_environment
from tests.ports import free_port

GUIDE = (Path(__file__).parents[2] / "docs/guides/webhooks.md").read_text()
START_S = 30


async def test_the_receiver_prints_what_a_server_sends(tmp_path: Path) -> None:
    (sample,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    (tmp_path / "receiver.py").write_text(sample)
    port = free_port()
    async with LocalServer() as server:
        access = server.access
        hook = f"/v1/apps/{access.app}/webhooks/orders"
        headers = {"Authorization": f"Bearer {access.api_key}"}
        body = {"url": f"http://127.0.0.1:{port}/", "kinds": ["oplog.processed"]}
        async with httpx.AsyncClient(base_url=access.api_url, headers=headers) as api:
            secret = (await api.put(hook, json=body)).json()["secret"]
            receiver = await asyncio.create_subprocess_exec(
                sys.executable,
                str(tmp_path / "receiver.py"),
                env={**unmeasured_environment(), "WEBHOOK_SECRET": secret, "PORT": str(port)},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                # It may not listen yet: then the event is sent again.
                await api.post(f"{hook}/test")
                assert receiver.stdout is not None
                line = await asyncio.wait_for(receiver.stdout.readline(), START_S)
                assert line.decode().split() == ["test", "{'webhook':", "'orders'}"]
                phone = server.client("ada", "phone")
                phone.on("CHAT")(lambda oplog: None)
                async with phone, server.publisher() as publisher:
                    await publisher.publish("CHAT", "user:ada", "hello")
                    line = await asyncio.wait_for(receiver.stdout.readline(), START_S)
                said = line.decode().split(maxsplit=2)
                assert said[:2] == ["oplog.processed", "CHAT"]
                data = ast.literal_eval(said[2])
                assert (data["device"], data["ids"]) == ("phone", [[1, 1]])
                async with asyncio.timeout(START_S):
                    while (shown := (await api.get(hook)).json())["queued"]:
                        await asyncio.sleep(0.01)
                assert shown["last_status"] == 204
                url = f"http://127.0.0.1:{port}/"
                assert (await api.post(url, content=b"{}")).status_code == 401
            finally:
                receiver.kill()
                await receiver.communicate()


def test_every_type_of_event_is_explained() -> None:
    for kind in (*KINDS, TEST, GAP):
        assert re.search(rf"^\| .*`{re.escape(kind)}`", GUIDE, re.MULTILINE), kind
