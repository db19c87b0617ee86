// Asks a site for pages with what node has for that: http-client.js http://host:port
// Prints what went wrong, and "done".
'use strict';
const http = require('http');
const assert = require('assert');
const undici = require('undici');
const { WebSocket } = require('ws');

const base = process.argv[2];
const large = Buffer.alloc(1 << 20, '0123456789abcdef');

// pipelined sends requests before it has the responses to those before.
async function pipelined() {
  const client = new undici.Client(base, { pipelining: 10 });
  const peers = new Set();
  await Promise.all(Array.from({ length: 100 }, async (_, i) => {
    const path = ['/', '/flow', '/none', '/health'][i % 4];
    const { statusCode, headers, body } = await client.request({ path, method: 'GET' });
    peers.add(headers['x-peer']);
    assert.strictEqual(statusCode, [200, 200, 404, 204][i % 4]);
    const text = await body.text();
    if (path === '/flow') assert.ok(text.endsWith('line 49\n'));
  }));
  assert.strictEqual(peers.size, 1);
  await client.close();
}

async function fetched() {
  const agent = new undici.Agent({ connections: 1 });
  const get = (path, more) => undici.fetch(base + path, { dispatcher: agent, ...more });
  assert.strictEqual(await (await get('/')).text(), 'hello\n');
  const echo = await get('/echo', { method: 'POST', body: large });
  assert.ok(large.equals(Buffer.from(await echo.arrayBuffer())));
  const parts = (async function* () { for (let i = 0; i < 10; i++) yield large.subarray(0, 10007); })();
  const chunked = await get('/echo', { method: 'POST', body: parts, duplex: 'half' });
  assert.strictEqual((await chunked.arrayBuffer()).byteLength, 100070);
  const abort = new AbortController();
  const flow = await get('/big', { signal: abort.signal });
  abort.abort();
  await assert.rejects(flow.text());
  assert.strictEqual((await get('/health')).status, 204);
  await agent.close();
}

// upgraded has a page and then a WebSocket on one connection.
async function upgraded() {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const peer = await new Promise((done, fail) => http.get(base, { agent }, (res) => {
    res.resume().on('end', () => done(res.headers['x-peer']));
  }).on('error', fail));
  const ws = new WebSocket(base.replace('http', 'ws'), { agent });
  await new Promise((done, fail) => ws.on('open', done).on('error', fail));
  ws.send('do: tell peer');
  const [data] = await new Promise((done) => ws.on('message', (...all) => done(all)));
  assert.strictEqual(data.toString(), peer);
  ws.close(1000);
  assert.strictEqual(await new Promise((done) => ws.on('close', done)), 1000);
  agent.destroy();
}

// refused has the status and the text of a refusal.
async function refused() {
  const ws = new WebSocket(base.replace('http', 'ws'), { origin: 'http://evil.example' });
  const res = await new Promise((done, fail) => ws.on('unexpected-response', (_, r) => done(r)).on('open', fail));
  assert.strictEqual(res.statusCode, 403);
  let text = '';
  for await (const b of res) text += b;
  assert.match(text, /RFC 6455/);
}

(async () => {
  for (const f of [pipelined, fetched, upgraded, refused]) {
    await f().catch((e) => console.log(f.name + ': ' + (e.stack ?? e)));
  }
  console.log('done');
})();
