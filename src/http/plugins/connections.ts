import { Socket } from 'node:net';
import type { EdgeApp } from '../ports.ts';

/**
 * Ends connections with the answers on them from the moment that the edge was asked to close. Node closes those that are idle
 * then; one with a request under way would stay open after its answer until it was idle for long, and the edge with it.
 */
export function addConnections(app: EdgeApp): void {
  let isClosing = false;
  app.addHook('preClose', async () => {
    isClosing = true;
  });
  app.addHook('onSend', async (_request, reply) => {
    if (isClosing) reply.header('connection', 'close');
  });
  // Of a stream, the headers were sent before.
  app.addHook('onResponse', async ({ raw }) => {
    if (isClosing && raw.socket instanceof Socket) raw.socket.destroySoon();
  });
}
