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

import { binary, json } from "./encoding.js";
import { Outbox } from "./outbox.js";
import { Subscription, TopicsError, call, isPosition } from "./subscription.js";
export { Subscription, TopicsError } from "./subscription.js";

const MIN_DELAY = 500, MAX_DELAY = 15_000, CONNECT_TIMEOUT = 10_000;
const PING_AFTER = 15_000, PONG_TIMEOUT = 8_000, MAX_QUEUE = 1_000;
const STABLE = 5_000; // a connection that was open for so long was a good one

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
  #outbox;
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
    this.#outbox = new Outbox(this.#codec, options.maxQueue ?? MAX_QUEUE);
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
   * error to subscribe twice, or after what is not a position.
   * @param {string} topic
   * @param {Handlers} [handlers]
   * @returns {Subscription}
   */
  subscribe(topic, handlers = {}) {
    if (this.state === "closed") throw new TopicsError("closed", "closed");
    if (handlers.after && !isPosition(handlers.after)) throw new TypeError("after is not a position");
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
    if (this.state === "closed") return Promise.reject(new TopicsError("closed", "closed"));
    return this.#outbox.publish(topic, data, retry, this.state === "open" ? this.#socket : null);
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
    this.#outbox.close();
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
    this.#outbox.sendAll(this.#socket);
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
    this.#outbox.lose(code);
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
      case "published": this.#outbox.answer(e.id); return;
      case "error": this.#fail(e); return;
    }
    const s = this.#subscriptions.get(e.topic);
    if (s && !this.#pings.includes(e.topic)) s._receive(e);
  }

  #subscribe(s) {
    s._early = new Map();
    this.#socket.send(this.#codec.subscribe(s.topic, s.position ?? undefined));
  }

  #fail(e) {
    const error = new TopicsError(e.code, e.text);
    if (e.id) {
      this.#outbox.answer(e.id, error);
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
