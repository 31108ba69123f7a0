"""Socket Mode: tickets, acknowledgments, redelivery, multiple connections, refreshes and lost connections."""

import aiohttp
import pytest

from slack_sandbox.server import Sandbox
from slack_sandbox.setup import Setup
from slack_sandbox.socket_mode import MAX_CONNECTIONS
from tests.conftest import SdkApp


async def open_url(sandbox: Sandbox, session: aiohttp.ClientSession) -> str:
    headers = {"Authorization": f"Bearer {sandbox.app_token}"}
    async with session.post(f"{sandbox.api_url}apps.connections.open", headers=headers) as answer:
        return str((await answer.json())["url"])


async def test_connection_starts_with_hello(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    async with session.ws_connect(await open_url(sandbox, session)) as socket:
        hello = await socket.receive_json()
    assert (hello["type"], hello["num_connections"]) == ("hello", 1)
    assert hello["connection_info"] == {"app_id": "A0BOT"}


async def test_ticket_opens_one_connection(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    url = await open_url(sandbox, session)
    async with session.ws_connect(url):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)


async def test_eleventh_connection_is_refused(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    sockets = [await session.ws_connect(await open_url(sandbox, session)) for _ in range(MAX_CONNECTIONS + 1)]
    assert (await sockets[-1].receive_json())["reason"] == "too_many_websockets"
    for socket in sockets:
        await socket.close()


@pytest.mark.slack(setup=Setup(socket_mode=False))
async def test_connection_is_refused_while_socket_mode_is_off(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    async with session.ws_connect(await open_url(sandbox, session)) as socket:
        message = await socket.receive_json()
        assert (message["type"], message["reason"]) == ("disconnect", "link_disabled")
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


@pytest.mark.parametrize("reason", ["too_many_websockets", "link_disabled"])
async def test_fault_ends_each_connection_right_after_its_hello(
    sandbox: Sandbox, session: aiohttp.ClientSession, reason: str
) -> None:
    sandbox.faults.start("end_after_hello", error=reason)
    for _ in range(2):
        async with session.ws_connect(await open_url(sandbox, session)) as socket:
            assert (await socket.receive_json())["type"] == "hello"
            message = await socket.receive_json()
            assert (message["type"], message["reason"]) == ("disconnect", reason)
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    await sandbox.wait_for(lambda: not sandbox.sockets.connections)
    sandbox.faults.stop_all()
    async with session.ws_connect(await open_url(sandbox, session)) as socket:
        assert (await socket.receive_json())["type"] == "hello"
        assert len(sandbox.sockets.connections) == 1


@pytest.mark.slack(setup=Setup(app_token_app_id="A0OTHER"))
async def test_socket_of_another_app_gets_no_event(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    url = await open_url(sandbox, session)
    assert url.endswith("app_id=A0OTHER")
    async with session.ws_connect(url) as socket:
        assert (await socket.receive_json())["connection_info"] == {"app_id": "A0OTHER"}
        await sandbox.say("ada", "general", "hi")
        await sandbox.wait_for(lambda: sandbox.deliveries)
        assert sandbox.deliveries[0].sent_at_s == []


async def test_ping_gets_a_pong(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    async with session.ws_connect(await open_url(sandbox, session), autoping=False) as socket:
        await socket.receive_json()
        await socket.ping(b"sdk-ping-pong")
        pong = await socket.receive(timeout=30)
    assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"sdk-ping-pong")


async def test_acknowledged_event_is_delivered_once(app: SdkApp) -> None:
    await app.connect()
    await app.sandbox.say("ada", "general", "hi")
    delivery = app.sandbox.deliveries[0]
    await app.sandbox.wait_for(lambda: delivery.acked_at_s is not None)
    assert len(delivery.sent_at_s) == 1
    assert (app.requests[0].retry_attempt, app.requests[0].accepts_response_payload) == (0, False)


async def test_foreign_team_fault_names_the_slack_connect_hosts_team(app: SdkApp) -> None:
    await app.connect()
    app.sandbox.faults.start("foreign_team", times=1)
    for text in ("shared", "ours"):
        await app.sandbox.say("ada", "general", text)
    await app.events(2)
    payloads = [request.payload for request in app.requests]
    assert [payload["team_id"] for payload in payloads] == ["T0PARTNERS", app.sandbox.team_id]
    assert {payload["authorizations"][0]["team_id"] for payload in payloads} == {app.sandbox.team_id}


async def test_unacknowledged_event_is_redelivered_until_given_up(app: SdkApp) -> None:
    app.sandbox.sockets.ack_timeout_s = 0.1
    app.acknowledge = False
    await app.connect()
    await app.sandbox.say("ada", "general", "hi")
    await app.events(4)
    assert [request.retry_attempt for request in app.requests] == [0, 1, 2, 3]
    assert [request.retry_reason for request in app.requests] == ["", *["timeout"] * 3]
    assert len({request.payload["event_id"] for request in app.requests}) == 1
    assert len({request.envelope_id for request in app.requests}) == 4


async def acknowledged_texts(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[str]:
    """Acknowledges the next events and returns their texts."""
    received = []
    for _ in range(count):
        envelope = await socket.receive_json(timeout=30)
        await socket.send_json({"envelope_id": envelope["envelope_id"]})
        received.append(envelope["payload"]["event"]["text"])
    return received


async def test_events_alternate_between_connections(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    async with (
        session.ws_connect(await open_url(sandbox, session)) as first,
        session.ws_connect(await open_url(sandbox, session)) as second,
    ):
        for socket in (first, second):
            await socket.receive_json()
        for number in range(4):
            await sandbox.say("ada", "general", str(number))
        received = [await acknowledged_texts(first, 2), await acknowledged_texts(second, 2)]
    assert sorted(received) == [["0", "2"], ["1", "3"]]


async def test_connection_being_refreshed_gets_no_new_event(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    async with session.ws_connect(await open_url(sandbox, session)) as old:
        await old.receive_json()
        sandbox.sockets.refresh(warning_s=30)
        assert (await old.receive_json())["reason"] == "warning"
        async with session.ws_connect(await open_url(sandbox, session)) as new:
            await new.receive_json()
            for number in range(3):
                await sandbox.say("ada", "general", str(number))
            assert await acknowledged_texts(new, 3) == ["0", "1", "2"]


async def test_unacknowledged_event_of_a_lost_connection_goes_to_another(app: SdkApp, sandbox: Sandbox) -> None:
    app.acknowledge = False
    await app.connect()
    await sandbox.say("ada", "general", "hi")
    await app.events(1)
    app.acknowledge = True
    first = sandbox.sockets.connections[0]
    await app.connect()
    first.abort()
    await sandbox.wait_for(lambda: sandbox.deliveries[0].acked_at_s is not None)
    assert [request.retry_attempt for request in app.requests] == [0, 1]


async def test_event_without_a_connection_is_delivered_later(app: SdkApp, sandbox: Sandbox) -> None:
    sandbox.sockets.redelivery_delays_s = (0, *[0.05] * 100)
    await sandbox.say("ada", "general", "early")
    await app.connect()
    (event,) = await app.events(1)
    assert event["text"] == "early"
    assert app.requests[0].retry_attempt != 0


async def test_refresh_moves_the_app_to_a_new_connection(app: SdkApp, sandbox: Sandbox) -> None:
    client = await app.connect()
    old = sandbox.sockets.connections[0]
    sandbox.sockets.refresh(warning_s=0.05)
    await sandbox.wait_for(lambda: sandbox.sockets.connections and old not in sandbox.sockets.connections)
    await sandbox.say("ada", "general", "hi")
    await app.events(1)
    assert await client.is_connected()


async def test_refresh_warns_and_then_closes_the_connection(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    async with session.ws_connect(await open_url(sandbox, session)) as socket:
        await socket.receive_json()
        sandbox.sockets.refresh(warning_s=0.05)
        reasons = [(await socket.receive_json())["reason"] for _ in range(2)]
        closed = await socket.receive(timeout=30)
    assert reasons == ["warning", "refresh_requested"]
    assert closed.type is aiohttp.WSMsgType.CLOSE


async def test_dropped_socket_ends_without_a_close_frame(sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
    async with session.ws_connect(await open_url(sandbox, session)) as socket:
        await socket.receive_json()
        sandbox.faults.start("drop_socket")
        ended = await socket.receive(timeout=30)
    assert ended.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    await sandbox.wait_for(lambda: not sandbox.sockets.connections)


async def test_acknowledged_event_can_be_redelivered(app: SdkApp, sandbox: Sandbox) -> None:
    await app.connect()
    await sandbox.say("ada", "general", "hi")
    await sandbox.wait_for(lambda: sandbox.deliveries[0].acked_at_s is not None)
    sandbox.redeliver()
    await app.events(2)
    assert app.requests[0].payload["event_id"] == app.requests[1].payload["event_id"]
    assert app.requests[1].retry_attempt == 1


@pytest.mark.parametrize("fault", ["redeliver", "unacked"])
async def test_fault_makes_an_event_arrive_twice(app: SdkApp, sandbox: Sandbox, fault: str) -> None:
    sandbox.sockets.ack_timeout_s = 0.2
    await app.connect()
    sandbox.faults.start(fault, times=1)
    await sandbox.say("ada", "general", "hi")
    first, repeated = (await app.events(2))[:2]
    assert first == repeated
    assert sandbox.faults.active(fault) is None
