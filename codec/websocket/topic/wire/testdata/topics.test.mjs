// Tests of the client with a socket that is a script: node --test topics.test.mjs.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Topics, TopicsError } from "../script/topics.js";

// Socket is a WebSocket without a network. The test opens and closes it, and says what comes.
class Socket {
  static all = [];
  static refuse = null;
  sent = [];
  closed = false;
  constructor(url, protocols) {
    if (Socket.refuse) throw Socket.refuse;
    Object.assign(this, { url, protocols });
    Socket.all.push(this);
  }
  send(data) { this.sent.push(data); }
  close() { this.closed = true; }
  open() { this.onopen(); }
  say(e) { this.onmessage({ data: typeof e === "string" || e instanceof ArrayBuffer ? e : JSON.stringify(e) }); }
  lose(code = 1006, reason = "") { this.onclose({ code, reason }); }
  get requests() { return this.sent.map((s) => JSON.parse(s)); }
}

async function until(what, condition) {
  for (const end = Date.now() + 5000; !condition(); await new Promise((done) => setTimeout(done, 2))) {
    if (Date.now() > end) assert.fail(`never: ${what}`);
  }
}

function start(t, options = {}) {
  Socket.all = [];
  Socket.refuse = null;
  const states = [];
  const topics = new Topics("ws://server/ws", {
    encoding: "json", minDelay: 1, maxDelay: 4, WebSocket: Socket,
    onState: (state, loss) => states.push(loss ? `${state} ${loss.code}` : state), ...options,
  });
  t.after(() => topics.close());
  return { topics, states };
}

// reconnected waits for the nth socket, and opens it.
async function reconnected(n) {
  await until(`socket ${n}`, () => Socket.all.length === n);
  Socket.all[n - 1].open();
  return Socket.all[n - 1];
}

const message = (pos, text = pos, topic = "room") => ({ type: "message", topic, pos, text });
const subscribed = (pos, topic = "room") => ({ type: "subscribed", topic, pos });

// record subscribes, and notes everything that is told.
function record(topics, topic, more = {}) {
  const told = [];
  const handlers = Object.fromEntries(["onMessage", "onGap", "onSubscribed", "onPresence", "onError"]
    .map((name) => [name, (...args) => told.push([name, ...args])]));
  return { told, sub: topics.subscribe(topic, { ...handlers, ...more }) };
}

const texts = (told) => told.filter(([name]) => name === "onMessage").map(([, data]) => data);

test("both encodings tell the same", async (t) => {
  const events = JSON.parse(readFileSync(new URL("events.json", import.meta.url), "utf8"));
  const all = [];
  for (const encoding of ["json", "binary"]) {
    const { topics } = start(t, { encoding });
    const room = record(topics, "room"), other = record(topics, "röm");
    const [s] = Socket.all;
    s.open();
    const publishes = [1, 2, 3, 4, 5].map((i) => topics.publish("room", String(i)));
    for (const p of publishes) p.catch(() => {});
    for (const e of events) {
      s.say(encoding === "json" ? e.json : Uint8Array.from(Buffer.from(e.binary, "hex")).buffer);
    }
    await publishes[4];
    all.push({ room: room.told, other: other.told, position: room.sub.position, members: [...room.sub.members.values()] });
  }
  assert.deepEqual(all[0], all[1]);
  assert.equal(all[0].position, "18446744073709551615-9223372036854775809");
  assert.deepEqual(texts(all[0].room).slice(0, 3), ["hi", "\"\\\n\t\x00\x1f \u2028😀", ""]);
  assert.deepEqual(texts(all[0].room)[3], Uint8Array.of(0, 255));
  assert.equal(all[0].other[0][1].code, 403);
  assert.ok(all[0].room.some(([name, gap]) => name === "onGap" && gap.next === "7-310"));
  assert.ok(all[0].room.some(([name, change]) => name === "onPresence" && change.left.map((m) => m.id).join() === "1"));
});

test("binary requests are as in the guide", (t) => {
  const { topics } = start(t, { encoding: "binary" });
  topics.subscribe("room", { after: "7-300" });
  topics.subscribe("far", { after: "18446744073709551615-9223372036854775809" });
  const [s] = Socket.all;
  assert.deepEqual(s.protocols, ["topics.v1.binary"]);
  s.open();
  for (let i = 1; i < 5; i++) topics.publish("room", "").catch(() => {});
  topics.publish("room", "hi").catch(() => {});
  topics.publish("room", Uint8Array.of(9, 0, 255).subarray(1)).catch(() => {});
  topics.unsubscribe("room");
  const hex = s.sent.map((b) => Buffer.from(b).toString("hex"));
  assert.equal(hex[0], "0104726f6f6d07ac02");
  assert.equal(hex[1], "0103666172ffffffffffffffffff0181808080808080808001");
  assert.deepEqual(hex.slice(6), ["030504726f6f6d016869", "030604726f6f6d0200ff", "0204726f6f6d", "04"]);
});

test("subscribes again from its positions, and drops duplicates", async (t) => {
  const { topics, states } = start(t);
  const room = record(topics, "room"), fresh = record(topics, "fresh"), past = record(topics, "past", { history: true });
  record(topics, "empty", { history: true }); // there is none: it goes on from where it has begun
  Socket.all[0].open();
  assert.deepEqual(Socket.all[0].requests, [{ type: "subscribe", topic: "room" }, { type: "subscribe", topic: "fresh" },
    { type: "subscribe", topic: "past", after: "0-0" }, { type: "subscribe", topic: "empty", after: "0-0" }]);
  Socket.all[0].say(subscribed("7-9"));
  for (const seq of ["7-10", "7-11", "7-11", "7-9"]) Socket.all[0].say(message(seq));
  Socket.all[0].say(subscribed("7-1", "fresh"));
  Socket.all[0].say(subscribed("7-0", "empty"));
  Socket.all[0].lose(1001);
  const s = await reconnected(2);
  assert.deepEqual(s.requests.map((r) => r.after), ["7-11", "7-1", "0-0", "7-0"]);
  s.say(message("7-12", "not subscribed yet"));
  s.say(subscribed("7-11"));
  for (const seq of ["7-11", "7-12", "8-1"]) s.say(message(seq));
  assert.deepEqual(texts(room.told), ["7-10", "7-11", "7-12", "8-1"]);
  assert.equal(room.sub.position, "8-1");
  assert.equal(fresh.sub.position, "7-1");
  s.say({ type: "gap", topic: "past", after: "0-0", next: "7-5" });
  s.say({ type: "gap", topic: "room", after: "8-1" });
  assert.deepEqual(past.told, []);
  assert.deepEqual(room.told.at(-1), ["onGap", { topic: "room", after: "8-1", next: undefined }]);
  assert.deepEqual(states, ["open", "waiting 1001", "connecting", "open"]);
});

test("what is left over from a subscription before is not of the next one", (t) => {
  const { topics } = start(t);
  record(topics, "room").sub.unsubscribe();
  const [s] = Socket.all;
  s.open();
  assert.deepEqual(s.requests, []);
  const first = record(topics, "room");
  first.sub.unsubscribe();
  const second = record(topics, "room", { after: "7-3" });
  assert.throws(() => topics.subscribe("room"), TopicsError);
  assert.deepEqual(s.requests.map((r) => r.type), ["subscribe", "unsubscribe", "ping", "subscribe"]);
  for (const e of [subscribed("7-10"), message("7-11"), { type: "pong" }]) s.say(e);
  for (const e of [subscribed("7-3"), message("7-4")]) s.say(e);
  assert.deepEqual(texts(second.told), ["7-4"]);
  assert.deepEqual(first.told, []);
});

test("no publish is lost silently", async (t) => {
  const { topics } = start(t, { maxQueue: 4 });
  const waiting = topics.publish("room", "waits");
  Socket.all[0].open();
  const refused = topics.publish("room", "refused"), lost = topics.publish("room", "lost");
  const again = topics.publish("room", "again", { retry: true });
  await assert.rejects(topics.publish("room", "too many"), { code: "full" });
  await assert.rejects(topics.publish("room", 5), TypeError);
  Socket.all[0].say({ type: "published", id: 1 });
  await waiting;
  Socket.all[0].say({ type: "error", id: 2, code: 403, topic: "room", text: "not allowed" });
  await assert.rejects(refused, { code: 403, message: "not allowed" });
  Socket.all[0].lose();
  await assert.rejects(lost, { code: "lost" });
  const s = await reconnected(2);
  assert.deepEqual(s.requests.map((r) => r.text), ["again"]);
  s.lose(1009); // too big
  await assert.rejects(again, { code: "lost" });
  const unsent = topics.publish("room", "unsent");
  topics.close();
  await assert.rejects(unsent, { code: "closed" });
  await assert.rejects(topics.publish("room", "closed"), { code: "closed" });
});

test("a silent server is asked, and given up", async (t) => {
  const { topics, states } = start(t, { pingAfter: 20, pongTimeout: 30 });
  topics.subscribe("room");
  const [s] = Socket.all;
  s.open();
  for (let i = 1; i <= 3; i++) {
    await until(`ping ${i}`, () => s.requests.filter((r) => r.type === "ping").length === i);
    assert.equal(Socket.all.length, 1);
    s.say({ type: "pong" });
  }
  await until("it is given up", () => Socket.all.length === 2);
  assert.ok(s.closed);
  assert.deepEqual(states, ["open", "waiting 1006", "connecting"]);
});

test("attempts have a time, and longer and longer pauses", async (t) => {
  const delays = [];
  const { topics } = start(t, { connectTimeout: 5, minDelay: 2, maxDelay: 16,
    onState: (_, loss) => loss && delays.push(loss.delay) });
  const random = t.mock.method(Math, "random", () => 1);
  await until("six attempts", () => delays.length >= 6);
  random.mock.restore();
  assert.deepEqual(delays.slice(0, 6), [2, 4, 8, 16, 16, 16]);
  topics.close();
});

test("a constructor that throws is an attempt that failed", async (t) => {
  const { states } = start(t);
  Socket.refuse = new Error("no");
  Socket.all[0].lose();
  await until("attempts", () => states.length >= 4);
  assert.deepEqual(states.slice(0, 4), ["waiting 1006", "connecting", "waiting 1006", "connecting"]);
});

test("what cannot be understood ends the connection, what is not known does not", async (t) => {
  const { topics, states } = start(t, { encoding: "binary" });
  const room = record(topics, "room");
  Socket.all[0].open();
  Socket.all[0].say(Uint8Array.of(0xF0, 1, 2).buffer);
  assert.equal(topics.state, "open");
  Socket.all[0].say(Uint8Array.of(0x82, 4, 0x72).buffer);
  assert.equal(states.at(-1), "waiting 1007");
  assert.deepEqual(room.told, []);
});

test("a subscription that is refused ends, unless the server is busy", async (t) => {
  const { topics } = start(t);
  const busy = record(topics, "busy"), secret = record(topics, "secret");
  const [s] = Socket.all;
  s.open();
  s.say({ type: "error", code: 403, topic: "secret", text: "not allowed" });
  s.say({ type: "error", code: 503, topic: "busy", text: "busy" });
  assert.ok(!secret.told[0][1].retrying && busy.told[0][1].retrying);
  await until("it tries again", () => s.requests.length === 3);
  assert.deepEqual(s.requests[2], { type: "subscribe", topic: "busy" });
  assert.ok(!topics.unsubscribe("secret"));
});

test("members who left while the connection was lost are told", async (t) => {
  const { topics } = start(t);
  const { told, sub } = record(topics, "room");
  Socket.all[0].open();
  const ada = { id: "1", info: "Ada" }, bob = { id: "2", info: "Bob" };
  Socket.all[0].say({ type: "members", topic: "room", members: [ada, bob] });
  Socket.all[0].say({ type: "presence", topic: "room", joined: [ada], left: ["3"] }); // nothing new
  Socket.all[0].lose();
  const s = await reconnected(2);
  s.say({ type: "members", topic: "room", members: [bob, { id: "4" }], more: 7 });
  assert.deepEqual(told.map(([, change]) => change), [{ joined: [ada, bob], left: [], all: true },
    { joined: [{ id: "4", info: "" }], left: [ada], all: true }]);
  assert.deepEqual([...sub.members.keys()], ["2", "4"]);
  assert.equal(sub.more, 7);
});

test("a list of members may be older than what came before it", async (t) => {
  const { topics } = start(t);
  const { sub } = record(topics, "room");
  const [s] = Socket.all;
  s.open();
  const ada = { id: "1", info: "Ada" }, bob = { id: "2", info: "Bob" }, eve = { id: "3", info: "Eve" };
  s.say({ type: "presence", topic: "room", left: ["1"] });
  s.say({ type: "presence", topic: "room", joined: [eve] });
  s.say({ type: "members", topic: "room", members: [ada, bob] });
  assert.deepEqual([...sub.members.keys()].sort(), ["2", "3"]);
  s.say({ type: "presence", topic: "room", joined: [ada], left: ["3"] });
  assert.deepEqual([...sub.members.keys()].sort(), ["1", "2"]);
});

// With such a subscription in the list no connection was ever open for the others.
test("what is not a position is refused at once", async (t) => {
  for (const encoding of ["json", "binary"]) {
    const { topics } = start(t, { encoding });
    for (const after of ["x", "7", "7-", "7-x", "07-1", "-1-1", "7-1-1", "7-18446744073709551616"]) {
      assert.throws(() => topics.subscribe("room", { after }), TypeError, after);
    }
    topics.subscribe("room", { after: "7-18446744073709551615" });
    topics.subscribe("other", { after: "0-0" });
    topics.subscribe("new", { after: "" }); // it has none
    Socket.all[0].open();
    assert.equal(topics.state, "open");
    assert.equal(Socket.all[0].sent.length, 3);
    topics.close();
  }
});

test("handlers that throw harm nobody", (t) => {
  const { topics } = start(t);
  const tasks = [];
  t.mock.method(globalThis, "queueMicrotask", (f) => tasks.push(f));
  topics.subscribe("room", { onMessage: () => { throw new Error("mine"); } });
  const other = record(topics, "other");
  Socket.all[0].open();
  for (const e of [subscribed("7-1"), subscribed("7-1", "other"), message("7-2"), message("7-2", "x", "other")]) {
    Socket.all[0].say(e);
  }
  assert.deepEqual(texts(other.told), ["x"]);
  assert.equal(tasks.length, 1);
  assert.throws(tasks[0], { message: "mine" });
});

test("close may be called anywhere", async (t) => {
  const { topics, states } = start(t, { onState: (state) => state === "waiting" && topics.close() });
  Socket.all[0].lose();
  assert.equal(topics.state, "closed");
  assert.equal(states.length, 0);
  await new Promise((done) => setTimeout(done, 10));
  assert.equal(Socket.all.length, 1);
  assert.throws(() => topics.subscribe("room"), { code: "closed" });
});
