/**
 * Client of the wire protocol for topics of Myriad, version 1: see docs/topics.md. It needs nothing
 * but WebSocket.
 *
 *     import { Topics } from "/topics.js";
 *     const topics = new Topics("/ws", { onState: (state) => console.log(state) });
 *     const room = topics.subscribe("room", {
 *       onMessage: (data) => console.log(data),
 *       onGap: () => console.log("some messages are lost"),
 *     });
 *     await room.publish("hello");
 *
 * @module
 */

/**
 * Where the connection is: it is being opened, it is open, the client waits until it tries again,
 * or Topics.close was called.
 * @typedef {"connecting" | "open" | "waiting" | "closed"} State
 */

/**
 * What is known about a lost connection: the code and the reason of its end, and the milliseconds
 * until the next attempt.
 * @typedef {{code: number, reason: string, delay: number}} Loss
 */

/**
 * @typedef {object} Options
 * @property {"binary" | "json"} [encoding] of the messages on the wire. Default: binary.
 * @property {(state: State, loss?: Loss) => void} [onState] is called when the state changes.
 * @property {number} [minDelay] The first attempt to reconnect is made after up to so many
 *   milliseconds, the next one after up to twice as many, and so on; a random part of it, so that not
 *   all clients of a server that was restarted come at the same time. Default: 500.
 * @property {number} [maxDelay] limits that. Default: 15,000.
 * @property {number} [connectTimeout] is how long an attempt may take. Default: 10,000.
 * @property {number} [pingAfter] A connection that was silent for so many milliseconds is asked for
 *   a sign of life. Default: 15,000.
 * @property {number} [pongTimeout] It is lost if none comes within this time. Default: 8,000.
 * @property {number} [maxQueue] How many messages may wait to be published. Default: 1,000.
 * @property {typeof WebSocket} [WebSocket] is the class to use. Default: that of the browser.
 */

/**
 * A message of a topic.
 * @typedef {{topic: string, position: string, data: string | Uint8Array}} Message
 */

/**
 * Messages after the position after, and before next if that is known, are lost to this client.
 * @typedef {{topic: string, after: string, next?: string}} Gap
 */

/** @typedef {{id: string, info: string}} Member */

/**
 * What a subscription is told. Exceptions of these functions are reported as uncaught, and harm
 * nothing else.
 * @typedef {object} Handlers
 * @property {(data: string | Uint8Array, message: Message) => void} [onMessage]
 * @property {(gap: Gap) => void} [onGap] Some messages will not come. Load what they have changed
 *   in another way, or tell the user.
 * @property {(position: string) => void} [onSubscribed] is called each time that a subscription has
 *   begun, again after each reconnect.
 * @property {(change: {joined: Member[], left: Member[], all: boolean}) => void} [onPresence] is called
 *   when Subscription.members has changed, and with all when the whole list has come: once after each
 *   onSubscribed.
 * @property {(error: TopicsError) => void} [onError] The server does not let the client subscribe.
 *   The subscription has ended, unless error.retrying.
 * @property {string} [after] is a position to continue after, from an earlier subscription.
 * @property {boolean} [history] Begin with the messages that the server has kept.
 */

const MIN_DELAY = 500, MAX_DELAY = 15_000, CONNECT_TIMEOUT = 10_000;
const PING_AFTER = 15_000, PONG_TIMEOUT = 8_000, MAX_QUEUE = 1_000;
const STABLE = 5_000; // a connection that was open for so long was a good one
const BEGINNING = "0-0";

/** Why something was not done. */
export class TopicsError extends Error {
  /**
   * The server's code: 400 name, 403 not allowed, 409 subscribed already, 413 too large, 429 too
   * many, 503 busy. Or the client's: "lost" if the connection broke before the server answered, and
   * the message may be published or not; "full" if too many messages wait; "closed" after
   * Topics.close.
   * @type {number | string}
   */
  code;
  /** Whether the client tries again by itself. */
  retrying = false;

  /** @param {number | string} code @param {string} text */
  constructor(code, text) {
    super(text);
    this.name = "TopicsError";
    this.code = code;
  }
}

/** A connection to a server with topics, which is opened again whenever it is lost. */
export class Topics {
  /** @type {State} */
  state = "connecting";

  #url;
  #options;
  #codec;
  #socket = null;
  #opened = 0; // when, in milliseconds; 0: not yet
  #attempts = 0; // that failed, in a row
  #retry = 0; // timer of the next attempt
  #slow = 0; // timer of the attempt
  #silence = 0; // timer that looks for signs of life
  #heard = 0; // when something came
  #asked = false; // for a sign of life, since then
  #pings = []; // in flight: the topic that was left before it, or ""
  #subscriptions = new Map(); // by topic
  #publishes = new Map(); // unanswered and unsent, by id, in order
  #lastID = 0;
  #listening = new AbortController();

  /**
   * @param {string | URL | (() => string | URL)} url is that of the WebSocket, absolute or relative
   *   to the page. A function is called for each attempt.
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    this.#url = url;
    this.#options = options;
    this.#codec = options.encoding === "json" ? json : binary;
    const listen = (target, name, f) => target?.addEventListener?.(name, f, { signal: this.#listening.signal });
    listen(globalThis, "online", () => this.#hurry());
    listen(globalThis, "offline", () => this.#probe());
    listen(globalThis, "pageshow", () => this.#hurry());
    // a page with an open WebSocket is not kept for the back button
    listen(globalThis, "pagehide", () => this.#socket && this.#lose(1001, "page hidden"));
    listen(globalThis.document, "visibilitychange", () => document.hidden || this.#hurry());
    this.#connect();
  }

  /**
   * Subscribes to a topic. The subscription outlives the connection, until it is ended. It is an
   * error to subscribe twice.
   * @param {string} topic
   * @param {Handlers} [handlers]
   * @returns {Subscription}
   */
  subscribe(topic, handlers = {}) {
    if (this.state === "closed") throw new TopicsError("closed", "closed");
    if (this.#subscriptions.has(topic)) throw new TopicsError(409, "already subscribed");
    const s = new Subscription(this, topic, handlers);
    this.#subscriptions.set(topic, s);
    if (this.state === "open") this.#subscribe(s);
    return s;
  }

  /**
   * Ends a subscription.
   * @param {string} topic
   * @returns {boolean} whether there was one
   */
  unsubscribe(topic) {
    const s = this.#subscriptions.get(topic);
    if (!s) return false;
    this.#subscriptions.delete(topic);
    clearTimeout(s._retry);
    s._state = "ended";
    if (this.state === "open") {
      this.#socket.send(this.#codec.unsubscribe(topic));
      this.#ping(topic); // until it is answered, messages of the topic are of this subscription
    }
    return true;
  }

  /**
   * Publishes a message. While there is no connection, it waits.
   * @param {string} topic
   * @param {string | ArrayBuffer | ArrayBufferView} data
   * @param {{retry?: boolean}} [options] With retry, a message that was not answered before the
   *   connection was lost is sent again: it may be published twice.
   * @returns {Promise<void>} is resolved when the server has accepted the message, and rejected with
   *   a TopicsError otherwise.
   */
  publish(topic, data, { retry = false } = {}) {
    return new Promise((resolve, reject) => {
      if (this.state === "closed") throw new TopicsError("closed", "closed");
      const copy = copyOf(data);
      if (this.#publishes.size >= (this.#options.maxQueue ?? MAX_QUEUE)) {
        throw new TopicsError("full", "too many messages wait to be published");
      }
      const id = ++this.#lastID;
      const p = { frame: this.#codec.publish(id, topic, copy), retry, sent: false, resolve, reject };
      this.#publishes.set(id, p);
      if (this.state === "open") this.#send(p);
    });
  }

  /** Ends the connection for good. Messages that wait are rejected. */
  close() {
    if (this.state === "closed") return;
    this.#detach(1000, "");
    clearTimeout(this.#retry);
    this.#listening.abort();
    for (const s of this.#subscriptions.values()) {
      clearTimeout(s._retry);
      s._state = "ended";
    }
    this.#subscriptions.clear();
    for (const p of this.#publishes.values()) {
      p.reject(new TopicsError(p.sent ? "lost" : "closed", "closed before it was published"));
    }
    this.#publishes.clear();
    this.#enter("closed");
  }

  // ---- The connection ----

  #connect() {
    const url = new URL(typeof this.#url === "function" ? this.#url() : this.#url, globalThis.location?.href);
    url.protocol = url.protocol.replace(/^http/, "ws");
    const s = this.#socket = new (this.#options.WebSocket ?? WebSocket)(url.href, [this.#codec.subprotocol]);
    s.binaryType = "arraybuffer";
    s.onopen = () => this.#open();
    s.onmessage = (e) => this.#receive(e.data);
    s.onclose = (e) => this.#lose(e.code, e.reason);
    s.onerror = () => {}; // onclose follows
    this.#slow = setTimeout(() => this.#lose(1006, "no answer"), this.#options.connectTimeout ?? CONNECT_TIMEOUT);
  }

  #reconnect() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    this.#enter("connecting");
    if (this.state !== "connecting") return; // closed meanwhile
    try {
      this.#connect();
    } catch (error) { // of the function that makes the URL
      this.#lose(1006, error.message);
    }
  }

  #open() {
    clearTimeout(this.#slow);
    this.#opened = this.#heard = performance.now();
    this.#asked = false;
    this.#watch(this.#options.pingAfter ?? PING_AFTER);
    for (const s of this.#subscriptions.values()) this.#subscribe(s);
    for (const p of this.#publishes.values()) this.#send(p);
    this.#enter("open");
  }

  // lose gives the connection up, and makes a date for the next attempt.
  #lose(code, reason) {
    if (this.#opened && performance.now() - this.#opened >= STABLE) this.#attempts = 0;
    this.#detach(1000, "");
    for (const s of this.#subscriptions.values()) {
      clearTimeout(s._retry);
      s._state = "pending";
    }
    for (const [id, p] of this.#publishes) {
      if (p.sent && (!p.retry || code === 1009)) { // 1009: it may be the one that is too big
        this.#publishes.delete(id);
        p.reject(new TopicsError("lost", "the connection broke before the server answered"));
      }
      p.sent = false;
    }
    const { minDelay = MIN_DELAY, maxDelay = MAX_DELAY } = this.#options;
    const delay = Math.random() * Math.min(maxDelay, minDelay * 2 ** this.#attempts++);
    this.#retry = setTimeout(() => this.#reconnect(), delay);
    this.#enter("waiting", { code, reason, delay });
  }

  #detach(code, reason) {
    clearTimeout(this.#slow);
    clearTimeout(this.#silence);
    this.#opened = 0;
    this.#pings = [];
    const s = this.#socket;
    this.#socket = null;
    if (!s) return;
    s.onopen = s.onmessage = s.onclose = null;
    s.close(code, reason); // which may take minutes if the network is gone
  }

  // hurry is called when the network or the user has come back.
  #hurry() {
    if (this.#retry) this.#reconnect();
    else this.#probe();
  }

  #enter(state, loss) {
    this.state = state;
    call(this.#options.onState, state, loss);
  }

  // ---- Signs of life ----

  #watch(delay) {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#look(), delay);
  }

  #look() {
    const { pingAfter = PING_AFTER } = this.#options;
    const quiet = performance.now() - this.#heard;
    if (this.#asked) this.#lose(1006, "no answer");
    else if (quiet < pingAfter) this.#watch(pingAfter - quiet);
    else this.#probe();
  }

  // probe asks for a sign of life.
  #probe() {
    if (this.state !== "open" || this.#asked) return;
    this.#asked = true;
    this.#ping("");
    this.#watch(this.#options.pongTimeout ?? PONG_TIMEOUT);
  }

  #ping(topic) {
    this.#pings.push(topic);
    this.#socket.send(this.#codec.ping());
  }

  // ---- What the server says ----

  #receive(data) {
    this.#heard = performance.now();
    this.#asked = false;
    let e;
    try {
      e = this.#codec.parse(data);
    } catch (error) {
      this.#lose(1007, `malformed message: ${error.message}`);
      return;
    }
    switch (e.type) {
      case "pong": this.#pings.shift(); return;
      case "published": this.#answer(e.id)?.resolve(); return;
      case "error": this.#fail(e); return;
    }
    const s = this.#subscriptions.get(e.topic);
    if (s && !this.#pings.includes(e.topic)) s._receive(e);
  }

  #subscribe(s) {
    s._early = new Map();
    this.#socket.send(this.#codec.subscribe(s.topic, s.position ?? undefined));
  }

  #send(p) {
    p.sent = true;
    this.#socket.send(p.frame);
  }

  #answer(id) {
    const p = this.#publishes.get(id);
    this.#publishes.delete(id);
    return p;
  }

  #fail(e) {
    const error = new TopicsError(e.code, e.text);
    if (e.id) {
      this.#answer(e.id)?.reject(error);
      return;
    }
    const s = this.#subscriptions.get(e.topic);
    if (!s || this.#pings.includes(e.topic)) return;
    if (e.code === 503) {
      error.retrying = true;
      const again = () => this.state === "open" && this.#subscribe(s);
      s._retry = setTimeout(again, (0.5 + Math.random()) * (this.#options.minDelay ?? MIN_DELAY) * 8);
    } else {
      this.#subscriptions.delete(e.topic);
      s._state = "ended";
    }
    call(s._handlers.onError, error);
  }
}

/** A subscription to a topic: see Topics.subscribe. */
export class Subscription {
  /** @type {string} */
  topic;
  /**
   * The position of the last message, or where the subscription has begun; null before it is known.
   * @type {string | null}
   */
  position;
  /**
   * Who is present, by their ids, for topics with presence.
   * @type {Map<string, Member>}
   */
  members = new Map();
  /** How many more are present than the server lists. */
  more = 0;

  /** @private */ _topics;
  /** @private */ _handlers;
  /** @private "pending", "subscribed" or "ended" */ _state = "pending";
  /** @private timer */ _retry = 0;
  /** @private who joined, or left (null), before the list came; null after it */ _early = null;

  /** @private */
  constructor(topics, topic, handlers) {
    this._topics = topics;
    this.topic = topic;
    this._handlers = handlers;
    this.position = handlers.after ?? (handlers.history ? BEGINNING : null);
  }

  /** Whether the server has confirmed it on this connection. */
  get subscribed() { return this._state === "subscribed"; }

  /**
   * Publishes a message to the topic: see Topics.publish.
   * @param {string | ArrayBuffer | ArrayBufferView} data
   * @param {{retry?: boolean}} [options]
   * @returns {Promise<void>}
   */
  publish(data, options) { return this._topics.publish(this.topic, data, options); }

  /** Ends the subscription. */
  unsubscribe() { if (this._state !== "ended") this._topics.unsubscribe(this.topic); }

  /** @private */
  _receive(e) {
    switch (e.type) {
      case "subscribed":
        this._state = "subscribed";
        if (!this.position || epoch(this.position) !== epoch(e.pos) && this.position !== BEGINNING) {
          this.position = e.pos;
        }
        call(this._handlers.onSubscribed, e.pos);
        break;
      case "message":
        if (this._state !== "subscribed" || isPast(e.pos, this.position)) return;
        this.position = e.pos;
        call(this._handlers.onMessage, e.data, { topic: this.topic, position: e.pos, data: e.data });
        break;
      case "gap":
        if (e.after === BEGINNING) return; // what was before all that is kept
        call(this._handlers.onGap, { topic: this.topic, after: e.after, next: e.next });
        break;
      case "members": this._list(e); break;
      case "presence": this._change(e.joined ?? [], e.left ?? []); break;
    }
  }

  // _list takes the whole list, which may be older than the changes that came before it. Those that
  // have left while the connection was lost are in neither.
  _list(e) {
    const now = new Map(e.members.map((m) => [m.id, m]));
    for (const [id, m] of this._early ?? []) {
      if (m) now.set(id, m);
      else now.delete(id);
    }
    this._early = null;
    this.more = e.more ?? 0;
    this._replace([...now.values()], [...this.members.keys()].filter((id) => !now.has(id)), true);
  }

  _change(joined, left) {
    for (const id of left) this._early?.set(id, null);
    for (const m of joined) this._early?.set(m.id, m);
    this._replace(joined, left, false);
  }

  _replace(joined, left, all) {
    joined = joined.filter((m) => this.members.get(m.id)?.info !== m.info);
    left = left.map((id) => this.members.get(id)).filter((m) => m);
    for (const m of left) this.members.delete(m.id);
    for (const m of joined) this.members.set(m.id, m);
    if (all || joined.length + left.length > 0) call(this._handlers.onPresence, { joined, left, all });
  }
}

// call calls a function of the user. What it throws is the user's, too.
function call(f, ...args) {
  try {
    f?.(...args);
  } catch (error) {
    queueMicrotask(() => { throw error; });
  }
}

// ---- Positions: "EPOCH-SEQ" in decimal digits, which may be over 2^53 ----

function epoch(position) { return position.slice(0, position.indexOf("-")); }

// isPast reports whether a position is not after the last one. Of different epochs nothing is known.
function isPast(position, last) {
  if (!last || epoch(position) !== epoch(last)) return false;
  return position.length !== last.length ? position.length < last.length : position <= last;
}

function copyOf(data) {
  if (typeof data === "string") return data;
  if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0));
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  throw new TypeError("what is published is a string or bytes");
}

// ---- Encodings: what is sent is made, what comes becomes an object as of JSON, with data ----

const utf8 = new TextEncoder();

const json = {
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

const binary = {
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
        return next === BEGINNING ? e : { ...e, next };
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
