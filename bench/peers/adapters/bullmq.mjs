// BullMQ on Redis: one worker; the last thousand done jobs are kept, for its default keeps them all for ever.

import { createRequire } from "node:module";
import { began, connection, delay, serve } from "./protocol.mjs";

const require = createRequire(new URL("../environments/node/", import.meta.url));
const { Queue, Worker } = require("bullmq");

const queue = new Queue("bench", { connection, defaultJobOptions: { removeOnComplete: { count: 1000 } } });

await serve({
  version: require("bullmq/package.json").version,
  enqueue: (data, due) => queue.add("noop", data, { delay: delay(due) }),
  bulk: (jobs, due) => queue.addBulk(jobs.map((data) => ({ name: "noop", data, opts: { delay: delay(due) } }))),
  work: (concurrency) => new Worker("bench", async (job) => began(job.data.sent), { connection, concurrency }),
});
