/**
 * The commands of the QEMU Machine Protocol that the driver uses, with their arguments and results
 * (https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html).
 */
export interface QmpCommands {
  qmp_capabilities: { arguments: undefined; result: unknown };
  'query-status': { arguments: undefined; result: { status: string; running: boolean } };
  stop: { arguments: undefined; result: unknown };
  cont: { arguments: undefined; result: unknown };
  quit: { arguments: undefined; result: unknown };
  'migrate-set-capabilities': {
    arguments: { capabilities: ReadonlyArray<{ capability: string; state: boolean }> };
    result: unknown;
  };
  'migrate-set-parameters': {
    /** Bytes per second; milliseconds. */
    arguments: { 'max-bandwidth': number; 'downtime-limit': number };
    result: unknown;
  };
  migrate: { arguments: { uri: string }; result: unknown };
  'migrate-incoming': { arguments: { uri: string }; result: unknown };
  migrate_cancel: { arguments: undefined; result: unknown };
  'query-migrate': { arguments: undefined; result: { status?: string; 'error-desc'?: string } };
  'query-block': {
    arguments: undefined;
    result: ReadonlyArray<{ device: string; inserted?: { image: { 'virtual-size': number } } }>;
  };
  /** Size in bytes. */
  block_resize: { arguments: { device: string; size: number }; result: unknown };
  /** Reads and forgets up to `size` bytes. */
  'ringbuf-read': { arguments: { device: string; size: number; format: 'base64' }; result: string };
}

export type QmpCommand = keyof QmpCommands;

export interface QmpEvent {
  event: string;
  data: Readonly<Record<string, unknown>>;
}
