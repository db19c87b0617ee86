# A server of websockets that echoes, and does what texts say: server.py [deflate]
import asyncio
import sys

import websockets

FRAGMENTS = "0123456789 " * 40000
tasks = set()


async def ponged(ws):
    await (await ws.ping())
    await ws.send("ponged")


async def serve(ws, path=None):
    try:
        async for data in ws:
            if data == "do: ping":
                tasks.add(asyncio.create_task(ponged(ws)))
            elif data == "do: fragments":
                await ws.send([FRAGMENTS[at:at + 10001] for at in range(0, len(FRAGMENTS), 10001)])
            elif data == "do: close":
                await ws.close(4001, "bye")
            elif isinstance(data, str) and data.startswith("do: close with "):
                await ws.close(int(data[15:]), "as told")
            else:
                await ws.send(data)
    except websockets.ConnectionClosed:
        pass


async def main():
    compression = "deflate" if "deflate" in sys.argv else None
    async with websockets.serve(serve, "127.0.0.1", 0, subprotocols=["chat"], compression=compression,
                                max_size=None) as server:
        host, port = server.sockets[0].getsockname()
        print(f"websockets: listening on {host}:{port}", flush=True)
        await asyncio.Future()


asyncio.run(main())
