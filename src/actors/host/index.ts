export { Host, type HostOptions } from './host.ts';
export { type CreateSandbox, type HostInfo, hostCommands } from './protocol.ts';
