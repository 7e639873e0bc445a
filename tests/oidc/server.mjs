// A certified OpenID provider for tests: `node server.mjs '{"client": {"id": …, "secret": …}, "lifetime": 60}'`.
// It listens on a free port of 127.0.0.1, says where in one line of JSON, and ends on SIGTERM or when stdin closes.

import { createServer } from 'node:http';

import { control } from './control.mjs';
import { makeProvider } from './provider.mjs';

const settings = JSON.parse(process.argv[2]);
const server = createServer();

server.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const provider = await makeProvider(url, settings);
  control(provider);
  server.on('request', provider.callback());
  console.log(JSON.stringify({ url, pid: process.pid }));
});

process.on('SIGTERM', () => process.exit(0));
process.stdin.on('end', () => process.exit(0)).resume(); // a parent that was killed must not leave a server behind
