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

export const BEGINNING = "0-0";

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
    this.position = handlers.after || (handlers.history ? BEGINNING : null);
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
        if (!this.position || epoch(this.position) !== epoch(e.pos)) this.position = e.pos;
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
export function call(f, ...args) {
  try {
    f?.(...args);
  } catch (error) {
    queueMicrotask(() => { throw error; });
  }
}

// ---- Positions: "EPOCH-SEQ" in decimal digits, which may be over 2^53 ----

// isPosition reports whether a server takes it for one.
export function isPosition(p) {
  return /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})$/.test(p) && p.split("-").every((n) => BigInt(n) >> 64n === 0n);
}

function epoch(position) { return position.slice(0, position.indexOf("-")); }

// isPast reports whether a position is not after the last one. Of different epochs nothing is known.
function isPast(position, last) {
  if (!last || epoch(position) !== epoch(last)) return false;
  return position.length !== last.length ? position.length < last.length : position <= last;
}
