from __future__ import annotations

import asyncio
import socket

from serving_min.workers.connections import PAUSE, Dispatcher, make_channel, received


def connect(listener: socket.socket, times: int) -> list[socket.socket]:
    return [socket.create_connection(listener.getsockname()) for _ in range(times)]


def test_connections_are_handed_out_in_turn_and_none_is_lost() -> None:
    async def scenario() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        channels = [make_channel() for _ in range(3)]
        dispatcher = Dispatcher(listener, channels)
        dispatcher.start()
        waiting = connect(listener, 2)
        await asyncio.sleep(3 * PAUSE)
        assert [len([*received(end)]) for _, end in channels] == [0, 0, 0], "nobody is open yet"
        dispatcher.open.update((0, 2))
        waiting += connect(listener, 4)
        await asyncio.sleep(3 * PAUSE)
        first = [*received(channels[0][1])]
        assert len(first) == 3
        first[0].sendall(b"hello")
        assert waiting[0].recv(5) == b"hello"
        dispatcher.lost(2)
        assert [*received(channels[2][1])] == []
        rest = [*received(channels[0][1])]
        assert len(rest) == 3, "what waited at the one that died is the other's"
        peers = {connection.getpeername() for connection in first + rest}
        assert peers == {client.getsockname() for client in waiting}
        dispatcher.stop()
        for one in [*first, *rest, *waiting, *(end for channel in channels for end in channel)]:
            one.close()

    asyncio.run(scenario())


def test_a_worker_that_takes_none_is_passed_over() -> None:
    async def scenario() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        channels = [make_channel() for _ in range(2)]
        for end, _ in channels:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least that the system allows
        dispatcher = Dispatcher(listener, channels)
        dispatcher.open.update((0, 1))
        dispatcher.start()
        clients: list[socket.socket] = []
        taken: list[socket.socket] = []
        for _ in range(40):
            clients += connect(listener, 1)
            await asyncio.sleep(0.001)
            taken += received(channels[1][1])  # the other one is stuck
        await asyncio.sleep(3 * PAUSE)
        taken += received(channels[1][1])
        stuck = [*received(channels[0][1])]
        assert len(taken) + len(stuck) == 40
        assert len(stuck) < 10
        dispatcher.stop()
        for one in [*clients, *taken, *stuck, *(end for channel in channels for end in channel)]:
            one.close()

    asyncio.run(scenario())
