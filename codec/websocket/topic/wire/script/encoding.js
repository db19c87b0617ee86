// ---- Encodings: what is sent is made, what comes becomes an object as of JSON, with data ----

const utf8 = new TextEncoder();

export const json = {
  subprotocol: "topics.v1.json",
  subscribe: (topic, after) => stringify({ type: "subscribe", topic, after }),
  unsubscribe: (topic) => stringify({ type: "unsubscribe", topic }),
  publish: (id, topic, data) => stringify(typeof data === "string"
    ? { type: "publish", id, topic, text: data }
    : { type: "publish", id, topic, base64: btoa(Array.from(data, (b) => String.fromCharCode(b)).join("")) }),
  ping: () => stringify({ type: "ping" }),
  parse(text) {
    const e = JSON.parse(text);
    if (e.type === "message") {
      e.data = e.text ?? Uint8Array.from(atob(e.base64), (c) => c.charCodeAt(0));
      delete e.text;
      delete e.base64;
    }
    for (const m of e.members ?? e.joined ?? []) m.info ??= "";
    return e;
  },
};

// stringify escapes half of a character, which the server takes for U+FFFD.
const stringify = JSON.stringify;

export const binary = {
  subprotocol: "topics.v1.binary",
  subscribe: (topic, after) => bytes(1, string(topic), ...(after ? after.split("-").map(varint) : [])),
  unsubscribe: (topic) => bytes(2, string(topic)),
  publish: (id, topic, data) => typeof data === "string"
    ? bytes(3, varint(id), string(topic), 1, utf8.encode(data))
    : bytes(3, varint(id), string(topic), 2, data),
  ping: () => bytes(4),
  parse(buffer) {
    const r = new Reader(buffer);
    switch (r.byte()) {
      case 0x81: return { type: "subscribed", topic: r.string(), pos: r.position() };
      case 0x82: {
        const e = { type: "message", topic: r.string(), pos: r.position() };
        return { ...e, data: r.byte() === 1 ? r.text() : r.rest() };
      }
      case 0x83: {
        const e = { type: "gap", topic: r.string(), after: r.position() };
        const next = r.position();
        return next === "0-0" ? e : { ...e, next };
      }
      case 0x84: {
        const e = { type: "members", topic: r.string(), members: r.list(() => r.member()) };
        const more = Number(r.varint());
        return more ? { ...e, more } : e;
      }
      case 0x85: {
        const e = { type: "presence", topic: r.string() };
        return { ...e, joined: r.list(() => r.member()), left: r.list(() => r.string()) };
      }
      case 0x86: return { type: "published", id: Number(r.varint()) };
      case 0x87: {
        const e = { type: "error", code: Number(r.varint()), id: Number(r.varint()) };
        return { ...e, topic: r.string(), text: r.string() };
      }
      case 0x88: return { type: "pong" };
    }
    return { type: "unknown" }; // of a later version
  },
};

function bytes(...parts) {
  parts = parts.map((p) => typeof p === "number" ? [p] : p);
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    all.set(p, at);
    at += p.length;
  }
  return all;
}

function string(s) {
  const b = utf8.encode(s);
  return bytes(varint(b.length), b);
}

function varint(n) {
  const b = [];
  for (n = BigInt(n); n > 127n; n >>= 7n) b.push(Number(n & 127n) | 128);
  b.push(Number(n));
  return b;
}

class Reader {
  #b;
  #at = 0;

  constructor(buffer) { this.#b = new Uint8Array(buffer); }

  byte() {
    if (this.#at >= this.#b.length) throw new RangeError("it ends too early");
    return this.#b[this.#at++];
  }

  // varint returns a number if it is below 2^49, and a BigInt otherwise.
  varint() {
    let n = 0, unit = 1, b;
    do {
      b = this.byte();
      if (unit === 2 ** 49) {
        n = BigInt(n);
        unit = BigInt(unit);
      }
      n += typeof n === "bigint" ? BigInt(b & 127) * unit : (b & 127) * unit;
      unit *= typeof n === "bigint" ? 128n : 128;
    } while (b > 127);
    return n;
  }

  position() { return `${this.varint()}-${this.varint()}`; }

  take(n) {
    if (this.#at + n > this.#b.length) throw new RangeError("it ends too early");
    return this.#b.subarray(this.#at, this.#at += n);
  }

  string() { return decode(this.take(Number(this.varint()))); }

  text() { return decode(this.rest()); }

  rest() { return this.#b.subarray(this.#at); }

  member() { return { id: this.string(), info: this.string() }; }

  list(one) { return Array.from({ length: Number(this.varint()) }, one); }
}

// decode keeps a byte order mark: it is part of the text.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
function decode(b) { return decoder.decode(b); }
