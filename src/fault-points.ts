/**
 * Points in the code at which a test can let something happen: that the process dies, that a caller goes away, that what was
 * just done is reported as failed. Every step passes one when it begins and one when its effect is there, before that is
 * noted anywhere; every command that changes a device passes one when it is done. So an operation that is added later is
 * covered by the tests that visit all points, without a word in them.
 *
 * In production nobody listens, and a point is a function call that returns.
 */
type Hook = (point: string) => void;

let hook: Hook | undefined;

/** Tells the test that the point is passed. What the hook throws is thrown here, as if what was done had failed. */
export function faultPoint(point: string): void {
  hook?.(point);
}

/** Sets what is called at every point, in this process; undefined for nothing. Only for tests. */
export function onFaultPoint(called: Hook | undefined): void {
  hook = called;
}
