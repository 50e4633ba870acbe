export { type BusOptions, connectBus } from './connect.ts';
export { readCredentials } from './credentials.ts';
export * from './subjects.ts';
export * from './types.ts';
export { WATCH_LEASE_MS, WATCH_RENEW_MS, watchInspections } from './watch.ts';
