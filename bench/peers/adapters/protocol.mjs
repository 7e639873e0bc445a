// The protocol of protocol.py, for peers on Node. A peer has version, enqueue, bulk and work.

import fs from "node:fs";
import readline from "node:readline";

const BULK = 1000;
const TASKS = 50;
const [url, recordPath] = process.argv.slice(2);
const record = fs.openSync(recordPath, "a");
const where = new URL(url);

export const connection = { host: where.hostname, port: Number(where.port), maxRetriesPerRequest: null };

const now = () => (performance.timeOrigin + performance.now()) / 1000;

/** A job does this alone. */
export function began(sent) {
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeDoubleLE(sent, 0);
  bytes.writeDoubleLE(now(), 8);
  fs.writeSync(record, bytes);
}

/** Milliseconds until then. */
export const delay = (due) => (due === undefined ? undefined : Math.max(0, Math.round((due - now()) * 1000)));

const payload = (number, sent) => ({ integration: `i-${number}`, tenant: `t-${number % 50}`, sent });

function* until(jobs, seconds, sent, told) {
  for (; told.jobs < jobs && now() - told.began < seconds; told.jobs++) yield payload(told.jobs, sent);
}

async function enqueue(peer, { do: what, jobs, seconds, due, per_second: perSecond }) {
  if (what === "paced") {
    for (let number = 0; number < jobs; number++) {
      const sent = now();
      await peer.enqueue(payload(number, sent));
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, (sent + 1 / perSecond - now()) * 1000)));
    }
    return { jobs };
  }
  const told = { jobs: 0, began: now() };
  const left = until(jobs, seconds, due ?? 0, told);
  if (what === "bulk" || what === "later") {
    for (let batch = take(left); batch.length; batch = take(left)) await peer.bulk(batch, due);
  } else {
    const each = async () => {
      for (let next = left.next(); !next.done; next = left.next()) await peer.enqueue(next.value, due);
    };
    await Promise.all(Array.from({ length: what === "one_by_one" ? 1 : TASKS }, each));
  }
  return { jobs: told.jobs, seconds: now() - told.began };
}

function take(left) {
  const batch = [];
  while (batch.length < BULK) {
    const next = left.next();
    if (next.done) break;
    batch.push(next.value);
  }
  return batch;
}

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

export async function serve(peer) {
  say({ version: peer.version, bulk: true });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    if (order.do === "work") {
      peer.work(order.concurrency);
      say({});
    } else {
      say(await enqueue(peer, order));
    }
  }
  process.kill(-process.pid, "SIGKILL"); // the bench gives each adapter a group of its own
}
