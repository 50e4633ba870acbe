import type { Principal } from '../../../records/types.ts';

/** Lets keys that are gone do nothing any more through this edge, and ends the streams that they have open here. */
export type Forget = (isGone: (principal: Principal) => boolean) => void;
