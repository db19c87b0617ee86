import { TopicsError } from "./subscription.js";

// Outbox is what was published and not answered yet, in order.
export class Outbox {
  #codec;
  #max;
  #waiting = new Map(); // by id
  #lastID = 0;

  constructor(codec, max) {
    this.#codec = codec;
    this.#max = max;
  }

  // publish sends a message on the socket, or keeps it until there is one.
  publish(topic, data, retry, socket) {
    return new Promise((resolve, reject) => {
      const copy = copyOf(data);
      if (this.#waiting.size >= this.#max) throw new TopicsError("full", "too many messages wait to be published");
      const id = ++this.#lastID;
      const p = { frame: this.#codec.publish(id, topic, copy), retry, sent: false, resolve, reject };
      this.#waiting.set(id, p);
      if (socket) this.#send(p, socket);
    });
  }

  sendAll(socket) { for (const p of this.#waiting.values()) this.#send(p, socket); }

  #send(p, socket) {
    p.sent = true;
    socket.send(p.frame);
  }

  // answer resolves a message, or rejects it with an error.
  answer(id, error) {
    const p = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) p?.reject(error);
    else p?.resolve();
  }

  // lose rejects what was sent on a connection that is lost, and must not be sent again.
  lose(code) {
    for (const [id, p] of this.#waiting) {
      if (p.sent && (!p.retry || code === 1009)) { // 1009: it may be the one that is too big
        this.answer(id, new TopicsError("lost", "the connection broke before the server answered"));
      }
      p.sent = false;
    }
  }

  close() {
    for (const [id, p] of this.#waiting) {
      this.answer(id, new TopicsError(p.sent ? "lost" : "closed", "closed before it was published"));
    }
  }
}

function copyOf(data) {
  if (typeof data === "string") return data;
  if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0));
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  throw new TypeError("what is published is a string or bytes");
}
