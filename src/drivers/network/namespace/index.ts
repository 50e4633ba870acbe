export { createNamespaceDriver, type NamespaceDriverOptions } from './driver.ts';
