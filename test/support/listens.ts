import type net from 'node:net';

/** Whether it listens on the port of loopback now: false while another one does. */
export function listens(listener: net.Server, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    listener.once('error', () => resolve(false));
    listener.listen(port, '127.0.0.1', () => resolve(true));
  });
}
