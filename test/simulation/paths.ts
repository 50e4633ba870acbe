import { pathsOf } from '../../src/paths.ts';

/** Where things are on the simulated host, and what is known there from the beginning. */
export const PATHS = pathsOf('/data');
export const HOST_ID = 'h-simulated';
export const TEMPLATE = 'minimal';
/** Shape of the saved machine that the template has. */
export const SHAPE = { vcpus: 1, memoryMb: 128 };
export const IMAGE_MB = 64;
export const DISK_MB = 128;
