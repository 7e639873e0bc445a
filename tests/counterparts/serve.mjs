// Starts what a script makes: on a free port of 127.0.0.1, for no longer than its parent lives.

import { createServer } from 'node:http';

// `makeListener` gets the server's URL, and gives what answers requests. Then one line of JSON says where it is.
export function serve(makeListener) {
  const server = createServer();
  server.listen(0, '127.0.0.1', async () => {
    const url = `http://127.0.0.1:${server.address().port}`;
    server.on('request', await makeListener(url));
    console.log(JSON.stringify({ url, pid: process.pid }));
  });
  process.on('SIGTERM', () => process.exit(0));
  process.stdin.on('end', () => process.exit(0)).resume(); // a parent that was killed must not leave a server behind
}
