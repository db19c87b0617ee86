// Lets another program use connections. On stdin: lines {"id", "conn", "do", ...}. On stdout: for
// each a line {"id", ...}, as soon as it is done. Data is in base64. {"do": "open", "url", "options"}
// opens a connection with a number of the other program's choice.
'use strict';

// Mailbox has what was received, and the end, for those who ask.
class Mailbox {
  constructor() { this.items = []; this.waiting = []; this.closed = undefined; }
  put(item) {
    if (this.waiting.length > 0) this.waiting.shift()(item);
    else this.items.push(item);
  }
  end(code) {
    this.closed ??= { closed: code };
    for (const f of this.waiting.splice(0)) f(this.closed);
  }
  next() {
    if (this.items.length > 0) return this.items.shift();
    return this.closed ?? new Promise((done) => this.waiting.push(done));
  }
}

// serve carries out what is asked for by the method of that name. open returns an object with the
// others, or a promise of one; its property about is the reply.
function serve(open) {
  const conns = new Map();
  require('readline').createInterface({ input: process.stdin }).on('line', async (line) => {
    const ask = JSON.parse(line);
    let reply;
    try {
      if (ask.do === 'open') {
        const conn = await open(ask.url, ask.options);
        conns.set(ask.conn, conn);
        reply = conn.about;
      } else {
        reply = await conns.get(ask.conn)[ask.do](ask);
      }
    } catch (e) {
      reply = { error: String(e) };
    }
    process.stdout.write(JSON.stringify({ ...reply, id: ask.id }) + '\n');
  }).on('close', () => process.exit(0));
}

module.exports = { Mailbox, serve };
