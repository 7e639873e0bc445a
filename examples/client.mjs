// Enqueue a job and wait for its result, from Node 18 or newer: `node client.mjs "some words to count"`, with LAMPLIGHTER_URL and
// LAMPLIGHTER_KEY in the environment. Nothing has to be installed.

import { randomUUID } from "node:crypto";

const api = `${process.env.LAMPLIGHTER_URL ?? "http://127.0.0.1:8000/lamplighter"}/api/v1`;
const headers = { Authorization: `Bearer ${process.env.LAMPLIGHTER_KEY}`, "Content-Type": "application/json" };

async function call(path, options = {}) {
  const answer = await fetch(api + path, { ...options, headers: { ...headers, ...options.headers } });
  const body = await answer.json();
  if (!body.success) throw new Error(`${body.error.code}: ${body.error.message}`);
  return { status: answer.status, data: body.data };
}

async function enqueue(name, args) {
  const again = { "Idempotency-Key": randomUUID() }; // whoever has no answer sends the same once more, under the same key
  const { data } = await call("/jobs", { method: "POST", headers: again, body: JSON.stringify({ name, args }) });
  return data.id;
}

async function result(id) {
  for (;;) {
    const { status, data } = await call(`/jobs/${id}/result?timeout=30`);
    if (status === 200) return data.result; // 202: it goes on
  }
}

const { words } = await result(await enqueue("count_words", { text: process.argv[2] ?? "" }));
console.log(`${words} words`);
