export { type BusOptions, connectBus } from './connect.ts';
export * from './subjects.ts';
export * from './types.ts';
