# Clients of websockets, which another program uses as ../node/remote.js says.
import asyncio
import base64
import json
import sys

import websockets


def decode(ask):
    data = base64.b64decode(ask["data"])
    return data.decode() if ask.get("text") else data


async def send(ws, ask):
    """send sends a message in one to three fragments."""
    data = decode(ask)
    pieces = 1 + len(data) % 3
    if pieces == 1:
        await ws.send(data)
        return {}
    size = len(data) // pieces
    await ws.send([data[i * size:(i + 1) * size if i < pieces - 1 else len(data)] for i in range(pieces)])
    return {}


async def receive(ws, ask):
    try:
        data = await ws.recv()
    except websockets.ConnectionClosed:
        return {"closed": ws.close_code}
    text = isinstance(data, str)
    return {"text": text, "data": base64.b64encode(data.encode() if text else data).decode()}


async def ping(ws, ask):
    await (await ws.ping(decode(ask)))
    return {"data": ask["data"]}  # it is resolved by a pong with this payload only


async def close(ws, ask):
    await ws.close(ask["code"], "bye")
    return {"closed": ws.close_code}


conns = {}


async def connect(ws, ask):
    ws = await websockets.connect(ask["url"], subprotocols=["other", "chat"], max_size=None, **ask["options"])
    conns[ask["conn"]] = ws
    return {"protocol": ws.subprotocol or "", "extensions": ",".join(e.name for e in ws.extensions)}


functions = {"open": connect, "send": send, "receive": receive, "ping": ping, "close": close}


async def carry_out(ask):
    try:
        reply = await functions[ask["do"]](conns.get(ask["conn"]), ask)
    except Exception as e:
        reply = {"error": repr(e)}
    reply["id"] = ask["id"]
    print(json.dumps(reply), flush=True)


async def main():
    reader = asyncio.StreamReader(limit=64 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = set()
    while line := await reader.readline():
        tasks.add(asyncio.create_task(carry_out(json.loads(line))))


asyncio.run(main())
