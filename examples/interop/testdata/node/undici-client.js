// Clients of undici, which has the interface of browsers and is what node has built in.
'use strict';
const { WebSocket } = require('undici');
const { Mailbox, serve } = require('./remote');

serve(async (url) => {
  const received = new Mailbox();
  const ws = new WebSocket(url, ['other', 'chat']);
  ws.binaryType = 'arraybuffer';
  ws.onmessage = ({ data }) =>
    received.put({ text: typeof data === 'string', data: Buffer.from(data).toString('base64') });
  ws.onclose = (e) => received.end(e.code);
  await new Promise((done, fail) => {
    ws.onopen = done;
    ws.onerror = (e) => fail(e.error ?? e.message);
  });
  return {
    about: { protocol: ws.protocol, extensions: ws.extensions },
    send({ text, data }) {
      const b = Buffer.from(data, 'base64');
      ws.send(text ? b.toString() : b);
    },
    receive: () => received.next(),
    // ping asks the server to ping, since the interface has no method for it.
    async ping({ data }) {
      ws.send('do: ping');
      const reply = await received.next();
      if (Buffer.from(reply.data ?? '', 'base64').toString() !== 'ponged') throw new Error(JSON.stringify(reply));
      return { data };
    },
    close({ code }) {
      if (code) ws.close(code, 'bye');
      else ws.close();
      return received.next();
    },
  };
});
