import { writeFile } from 'node:fs/promises';
import type { Recording } from '../../src/machines/recording.ts';
import type { Told } from './replay.ts';

/** A told run as the visualizer's page opens it. */
export function recordingOf({ tape, violations, frames, simulatedMs }: Told, seed?: number): Recording {
  return {
    v: 1,
    scenario: tape.scenario,
    ...(seed !== undefined && { seed }),
    faults: tape.faults.map(({ class: of, at, kind }) => ({ class: of, at, kind })),
    violations: [...violations],
    simulated_ms: simulatedMs,
    frames: [...frames],
  };
}

export async function writeRecording(file: string, told: Told, seed?: number): Promise<void> {
  await writeFile(file, `${JSON.stringify(recordingOf(told, seed))}\n`);
}
