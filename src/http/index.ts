export type { EdgeApp, EdgePorts } from './ports.ts';
export { createEdge, listenEdge } from './server.ts';
