import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { Download } from '../../../drill/client/download.ts';

async function serve(t: ExecutionContext, answer: (response: ServerResponse) => void) {
  const server = createServer((_, response) => answer(response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const download = new Download(`http://127.0.0.1:${port}/`);
  t.teardown(() => {
    download.end();
    server.closeAllConnections();
    server.close();
  });
  return download;
}

async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo() && tries < 20_000; tries++) await sleep(5);
}

test('the numbers from 1 on are whole, wherever the pieces end', async (t) => {
  const download = await serve(t, async (response) => {
    for (const piece of ['1\n2', '\n3\n', '4\n5']) {
      response.write(piece);
      await sleep(20);
    }
  });
  await until(() => download.state.lines === 4 && download.state.bytes === 9);
  t.is(download.state.lines, 4);
  t.is(download.state.brokenBy, undefined);
});

test('a line that is lost or doubled is a broken download', async (t) => {
  const download = await serve(t, (response) => response.write('1\n2\n4\n'));
  await until(() => download.state.brokenBy !== undefined);
  t.is(download.state.brokenBy, 'line 3 is "4"');
});

test('an answer that ends, or is none, is a broken download', async (t) => {
  const ended = await serve(t, (response) => response.end('1\n'));
  await until(() => ended.state.brokenBy !== undefined);
  t.regex(ended.state.brokenBy ?? '', /closed/);
  const refused = await serve(t, (response) => response.writeHead(404).end());
  await until(() => refused.state.brokenBy !== undefined);
  t.regex(refused.state.brokenBy ?? '', /404/);
});
