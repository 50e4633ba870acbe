import { type Signal, signal, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { ApiError } from '../../lib/api.ts';
import { sandboxCommands, type Target } from '../../lib/commands.ts';
import { duration } from '../../lib/format.ts';
import { may } from '../../lib/me.ts';
import { sendForLines } from '../../lib/send.ts';
import type { ExecLine } from '../../lib/types.ts';
import { endOf, type Piece, withLine } from './output.ts';

/** A program that was run, with what it printed. */
interface Run {
  number: number;
  cmd: string;
  pieces: readonly Piece[];
  /** How it ended; undefined while it runs. */
  end?: { text: string; isGood: boolean; ms?: number };
}

/** Newest runs that are kept. */
const RUNS_KEPT = 20;

/** Runs shell commands in the guest; their output comes while they run. */
export function Console({ target, canExec }: { target: Target; canExec: boolean }): JSX.Element {
  const runs = useSignal<readonly Run[]>([]);
  const running = useSignal<AbortController | null>(null);
  const output = useRef<HTMLDivElement>(null);
  const shown = runs.value;
  useEffect(() => {
    // Follows the output, as a terminal does.
    if (shown.length > 0) output.current?.scrollTo(0, output.current.scrollHeight);
  }, [shown]);
  useEffect(() => () => running.peek()?.abort(), [running]);
  const run = async (cmd: string): Promise<void> => {
    const stop = new AbortController();
    running.value = stop;
    try {
      await follow(runs, cmd, target, stop.signal);
    } finally {
      if (running.peek() === stop) running.value = null;
    }
  };
  return (
    <section class="panel console" aria-labelledby="console">
      <h2 id="console">Console</h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard */}
      <div class="console-output" ref={output} tabIndex={0} role="log" aria-label="Output">
        {shown.map((one) => (
          <RunView key={one.number} run={one} />
        ))}
        {shown.length === 0 && <p class="dim">Each command runs in a shell of its own, as root.</p>}
      </div>
      <Prompt
        canExec={canExec}
        history={shown.map(({ cmd }) => cmd)}
        isRunning={running.value !== null}
        onRun={run}
        onStop={() => running.peek()?.abort()}
      />
    </section>
  );
}

const counter = signal(0);

/** Sends a command, and keeps what it prints and how it ends. */
async function follow(
  runs: Signal<readonly Run[]>,
  cmd: string,
  target: Target,
  stop: AbortSignal,
): Promise<void> {
  counter.value += 1;
  const number = counter.peek();
  runs.value = [...runs.peek(), { number, cmd, pieces: [] }].slice(-RUNS_KEPT);
  const change = (how: (run: Run) => Run): void => {
    runs.value = runs.peek().map((one) => (one.number === number ? how(one) : one));
  };
  try {
    await sendForLines<ExecLine>(
      sandboxCommands.exec.call(target, { cmd }),
      (line) => {
        if (line.stream) change((one) => ({ ...one, pieces: withLine(one.pieces, line) }));
        else change((one) => ({ ...one, end: ended(line) }));
      },
      { signal: stop },
    );
  } catch (error) {
    if (!(error instanceof ApiError) && !stop.aborted) throw error;
    const text = error instanceof ApiError ? `${error.problem.code}: ${error.problem.detail}` : 'stopped';
    change((one) => ({ ...one, end: { text, isGood: false } }));
  }
}

function ended(line: ExecLine): Run['end'] {
  const ms = line.result?.duration_ms;
  return { text: endOf(line), isGood: line.result?.exit_code === 0, ...(ms !== undefined && { ms }) };
}

function RunView({ run: { cmd, pieces, end } }: { run: Run }): JSX.Element {
  return (
    <div class="console-run">
      <p class="console-cmd mono">
        <span aria-hidden="true">$ </span>
        {cmd}
      </p>
      {pieces.map(({ stream, text }, index) => (
        <pre key={index} data-stream={stream}>
          {text}
        </pre>
      ))}
      <p class="console-end mono" data-good={end?.isGood ?? true}>
        {end && `${end.isGood ? '' : '✕ '}${end.text}`}
        {end?.ms !== undefined && <span class="dim"> {duration(end.ms)}</span>}
      </p>
    </div>
  );
}

function Prompt({
  canExec,
  history,
  isRunning,
  onRun,
  onStop,
}: {
  canExec: boolean;
  history: readonly string[];
  isRunning: boolean;
  onRun: (cmd: string) => void;
  onStop: () => void;
}): JSX.Element {
  const text = useSignal('');
  /** How far back in the history the text is from; 0 for a new one. */
  const back = useSignal(0);
  const recall = (event: KeyboardEvent): void => {
    const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (step === undefined) return;
    const next = back.peek() + step;
    if (next < 0 || next > history.length) return;
    event.preventDefault();
    back.value = next;
    text.value = next === 0 ? '' : (history.at(-next) ?? '');
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    const cmd = text.peek().trim();
    // Enter sends the form also where its button is another one: one program at a time can be stopped.
    if (cmd === '' || isRunning) return;
    text.value = '';
    back.value = 0;
    onRun(cmd);
  };
  return (
    <form class="console-prompt" onSubmit={submit}>
      <input
        data-kind="code"
        aria-label="Shell command"
        placeholder={
          canExec
            ? 'Shell command; ↑ for the one before'
            : `Not ${may('write') ? 'in this state' : 'with this key'}`
        }
        value={text.value}
        disabled={!canExec && !isRunning}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        onKeyDown={recall}
        onInput={(event) => {
          text.value = event.currentTarget.value;
        }}
      />
      {isRunning ? (
        <button type="button" data-look="danger" onClick={onStop}>
          Stop
        </button>
      ) : (
        <button type="submit" data-look="primary" disabled={!canExec}>
          Exec
        </button>
      )}
    </form>
  );
}
