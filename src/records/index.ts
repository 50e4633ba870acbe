export { openRecords } from './open.ts';
