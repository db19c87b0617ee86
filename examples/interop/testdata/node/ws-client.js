// Clients of ws.
'use strict';
const { WebSocket } = require('ws');
const { Mailbox, serve } = require('./remote');

serve(async (url, options) => {
  const received = new Mailbox(), pongs = new Mailbox();
  const ws = new WebSocket(url, ['other', 'chat'], { maxPayload: 0, ...options });
  ws.on('message', (data, binary) => received.put({ text: !binary, data: data.toString('base64') }));
  ws.on('pong', (data) => pongs.put({ data: data.toString('base64') }));
  ws.on('close', (code) => received.end(code));
  await new Promise((done, fail) => ws.on('open', done).on('error', fail));
  return {
    about: { protocol: ws.protocol, extensions: ws.extensions },
    // send sends a message in one to three fragments, which may end within a character.
    async send({ text, data }) {
      const b = Buffer.from(data, 'base64'), pieces = 1 + b.length % 3, size = Math.floor(b.length / pieces);
      for (let i = 0; i < pieces; i++) {
        const last = i === pieces - 1;
        await new Promise((done, fail) => ws.send(b.subarray(i * size, last ? b.length : (i + 1) * size),
          { binary: !text, fin: last }, (e) => (e ? fail(e) : done())));
      }
    },
    receive: () => received.next(),
    ping({ data }) {
      ws.ping(Buffer.from(data, 'base64'));
      return pongs.next();
    },
    close({ code }) {
      if (code) ws.close(code, 'bye');
      else ws.close();
      return received.next();
    },
  };
});
