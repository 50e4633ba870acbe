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

/** Carries a step out in place of the runtime: late, not at all, or as if its report had been lost. */
type StepHook = <T>(step: string, signal: AbortSignal, run: () => Promise<T>) => Promise<T>;

let stepHook: StepHook | undefined;

/** Carries the step out. @param signal the step's own, which a hook that lets it hang must heed */
export function aroundStep<T>(step: string, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  return stepHook ? stepHook(step, signal, run) : run();
}

/** Sets what carries the steps out, in this process; undefined for the step alone. Only for the simulation. */
export function onStep(called: StepHook | undefined): void {
  stepHook = called;
}
