// Bull on Redis: one worker; the last thousand done jobs are kept, for its default keeps them all for ever.

import { createRequire } from "node:module";
import { began, connection, delay, serve } from "./protocol.mjs";

const require = createRequire(new URL("../environments/node/", import.meta.url));
const Bull = require("bull");

const { host, port } = connection;
const queue = new Bull("bench", { redis: { host, port }, defaultJobOptions: { removeOnComplete: 1000 } });

await serve({
  version: require("bull/package.json").version,
  enqueue: (data, due) => queue.add(data, { delay: delay(due) }),
  bulk: (jobs, due) => queue.addBulk(jobs.map((data) => ({ data, opts: { delay: delay(due) } }))),
  work: (concurrency) => queue.process(concurrency, async (job) => began(job.data.sent)),
});
