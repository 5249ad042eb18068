import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * `count` different TCP ports of the loopback address that are free now. Another process can
 * take one before it is used; its user then fails with "address in use".
 */
export async function findFreePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  try {
    return await Promise.all(
      servers.map(async (server) => {
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        const address = server.address();
        if (address === null || typeof address === 'string') throw new Error('no TCP address');
        return address.port;
      }),
    );
  } finally {
    for (const server of servers) server.close();
  }
}
