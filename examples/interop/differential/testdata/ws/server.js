// Judges opening handshakes by node's HTTP server and ws. On stdin: each request behind its length
// in four bytes. On stdout: for each, in order, a line of JSON.
'use strict';
const http = require('http');
const { Duplex } = require('stream');
const { WebSocketServer } = require('ws');

const offered = ['chat', 'mqtt'];
const server = http.createServer((req, res) => res.writeHead(426).end());
const wss = new WebSocketServer({
  noServer: true,
  handleProtocols: (protocols) => offered.find((p) => protocols.has(p)) ?? false,
});
server.on('upgrade', (req, socket, head) => {
  socket.verdict.host = req.headers.host ?? '';
  socket.verdict.target = req.url;
  wss.handleUpgrade(req, socket, head, (ws) => ws.on('error', () => {}));
});

class Memory extends Duplex {
  constructor(request, done) {
    super();
    this.verdict = { status: 0, host: '', target: '', protocol: '' };
    this.done = done;
    this.on('error', () => this.end1());
    this.on('close', () => this.end1());
    this.push(request);
    this.push(null);
  }
  _read() {}
  _write(chunk, encoding, callback) {
    const head = chunk.toString('latin1');
    this.verdict.status = +head.slice(9, 12);
    this.verdict.protocol = (/\r\nSec-WebSocket-Protocol: (.*)\r\n/.exec(head) ?? ['', ''])[1];
    this.end1();
    callback();
  }
  end1() {
    this.done?.(this.verdict);
    this.done = undefined;
  }
}

function judge(request) {
  return new Promise((done) => {
    const m = new Memory(request, done);
    server.emit('connection', m);
    m.on('end', () => setTimeout(() => m.destroy(), 50)); // it waits for more of the request
  });
}

let buffer = Buffer.alloc(0);
let last = Promise.resolve();
process.stdin.on('data', (chunk) => {
  buffer = Buffer.concat([buffer, chunk]);
  const verdicts = [];
  let at = 0;
  while (buffer.length >= at + 4 && buffer.length >= at + 4 + buffer.readUInt32BE(at)) {
    const size = buffer.readUInt32BE(at);
    verdicts.push(judge(Buffer.from(buffer.subarray(at + 4, at + 4 + size))));
    at += 4 + size;
  }
  buffer = buffer.subarray(at);
  last = last.then(() => Promise.all(verdicts)).then((all) => {
    if (all.length > 0) process.stdout.write(all.map((v) => JSON.stringify(v) + '\n').join(''));
  });
});
process.stdin.on('end', () => last.then(() => process.stdout.write('', () => process.exit(0))));
