// A server of ws that echoes, and does what texts say: ws-server.js [options as JSON]
'use strict';
const { WebSocketServer } = require('ws');

const fragments = Buffer.from('0123456789 '.repeat(40000));
const server = new WebSocketServer({
  host: '127.0.0.1', port: 0, maxPayload: 0,
  handleProtocols: (protocols) => (protocols.has('chat') ? 'chat' : false),
  ...JSON.parse(process.argv[2] ?? '{}'),
}, () => console.log('ws: listening on 127.0.0.1:' + server.address().port));
server.on('connection', (ws) => {
  ws.on('error', () => {});
  ws.on('pong', () => ws.send('ponged'));
  ws.on('message', (data, binary) => {
    const text = binary || data.length > 100 ? '' : data.toString();
    if (text === 'do: ping') {
      ws.ping();
    } else if (text === 'do: fragments') {
      for (let at = 0; at < fragments.length; at += 10001)
        ws.send(fragments.subarray(at, at + 10001), { binary, fin: at + 10001 >= fragments.length });
    } else if (text === 'do: close') {
      ws.close(4001, 'bye');
    } else if (text.startsWith('do: close with ')) {
      ws.close(+text.slice(15), 'as told');
    } else {
      ws.send(data, { binary });
    }
  });
});
