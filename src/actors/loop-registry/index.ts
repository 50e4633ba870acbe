export { LoopRegistry, type LoopRegistryOptions } from './loop-registry.ts';
export { originsOf } from './origins.ts';
export { LoopEntry, loopRegistryCommands } from './protocol.ts';
export type { LoopLeak } from './registry.ts';
