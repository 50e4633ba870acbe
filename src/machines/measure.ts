/**
 * How much room texts take. Drawings are set in monospaced type, whose characters are all 0.6 em wide in every font that the
 * pages name: so a place can be found for a text where no font is at hand.
 */

const CHARACTER_EM = 0.6;

/** Sizes of type in a drawing, in CSS pixels. */
export const TYPE = { state: 13, step: 10.5, label: 11 } as const;

/** Between a text and the border of what it stands in. */
const PADDING = 10;
/** Room at both sides of a label, so that no line touches it. */
const LABEL_PADDING = 3;
const LABEL_HEIGHT = 16;
/** Between a state and the label of an edge that leaves it. */
export const LABEL_GAP = 4;
/** Heights of a state: with its name, and with a line for its step below. */
const STATE_HEIGHT = 30;
const STATE_WITH_STEP_HEIGHT = 42;

export interface Size {
  width: number;
  height: number;
}

/** Width of a text in CSS pixels. */
export function textWidth(text: string, fontSize: number): number {
  return [...text].length * fontSize * CHARACTER_EM;
}

/** Size of a state that contains no others. */
export function stateSize({ label, step }: { label: string; step: string | null }): Size {
  const text = Math.max(textWidth(label, TYPE.state), step === null ? 0 : textWidth(step, TYPE.step));
  return {
    width: Math.ceil(text) + 2 * PADDING,
    height: step === null ? STATE_HEIGHT : STATE_WITH_STEP_HEIGHT,
  };
}

/** Size of an edge's label. */
export function labelSize(label: string): Size {
  return { width: Math.ceil(textWidth(label, TYPE.label)) + 2 * LABEL_PADDING, height: LABEL_HEIGHT };
}
