import type { AnyStateNode } from 'xstate';
import type { Exploration, Move, Place } from './explore.ts';

/**
 * What must hold of every machine, wherever it can come to. Each check gives one line for each thing that is wrong, which
 * names the machine and the state.
 */

/** Everything that is declared in a machine's configuration: its states that are not made of others, and transitions. */
export function declaredIn({ subject }: Pick<Exploration, 'subject'>): {
  states: string[];
  transitions: Array<{ transition: unknown; name: string }>;
  steps: Array<{ state: string; step: string }>;
} {
  const declared: ReturnType<typeof declaredIn> = { states: [], transitions: [], steps: [] };
  const visit = (node: AnyStateNode): void => {
    const state = node.path.join('.');
    if (node.type === 'atomic' || node.type === 'final') declared.states.push(state);
    for (const { src } of node.invoke) declared.steps.push({ state, step: String(src) });
    for (const [event, transitions] of node.transitions)
      for (const [index, transition] of transitions.entries()) {
        const guard = transition.guard as { type?: string } | string | undefined;
        const when = typeof guard === 'string' ? guard : guard?.type;
        const name = `${state} on ${event}${when ? ` if ${when}` : index > 0 ? ' else' : ''}`;
        declared.transitions.push({ transition, name });
      }
    for (const child of Object.values(node.states)) visit(child as AnyStateNode);
  };
  visit(subject.machine.root as AnyStateNode);
  return declared;
}

/** 1. A state with a step goes on to another state when the step is done, when it fails, and when its time is over. */
export function stepsLeadOn({ subject, places }: Exploration): string[] {
  const ends = { done: 'is done', failed: 'fails', timeout: 'takes too long' } as const;
  return unique(
    places.flatMap(({ state, moves }) =>
      moves.flatMap(({ kind, name, taken, to }) => {
        if (!(kind in ends) || subject.background.includes(name) || (taken && to.state !== state)) return [];
        const end = ends[kind as keyof typeof ends];
        return [`${subject.name}: ${state} ${taken ? 'stays' : 'has no exit'} when ${name} ${end}`];
      }),
    ),
  );
}

/** 2. A state that is neither at rest nor final has a step or a timer that ends it; a step has a time limit. */
export function nothingStaysForEver({ subject, places, ...rest }: Exploration): string[] {
  const stuck = places
    .filter((place) => !place.isRest && !place.isFinal)
    .filter(({ moves }) => !moves.some((move) => endsByItself(subject, move)))
    .map(({ state, way }) => `${subject.name}: ${state} stays for ever (${way.join(', ')})`);
  const limitless = declaredIn({ subject, ...rest }).steps.flatMap(({ state, step }) => {
    const limit = subject.steps[step]?.timeoutMs;
    if (limit === undefined) return [`${subject.name}: ${state} runs ${step}, which is no step`];
    if (subject.watches.includes(step))
      return subject.rest.includes(state) ? [] : [`${subject.name}: ${state} waits for the watch ${step}`];
    return Number.isFinite(limit) && limit > 0
      ? []
      : [`${subject.name}: ${step} in ${state} has no time limit`];
  });
  return unique([...stuck, ...limitless]);
}

/**
 * 3. A command that is taken is answered once, before or at the next rest, whatever happens on the way; one that is not
 * taken is refused, so what a state says that it takes must be what it takes.
 */
export function commandsAreAnswered({ subject, places, problems }: Exploration): string[] {
  const dropped = places
    .filter((place) => place.open.size > 0 && (place.isRest || place.isWaiting || place.isFinal))
    .map(
      ({ state, open, way }) =>
        `${subject.name}: ${state} does not answer ${[...open].join(', ')} (${way.join(', ')})`,
    );
  const underWay = places.filter(
    (place) => place.open.size > 0 && !place.isRest && !place.isWaiting && !place.isFinal,
  );
  const circles = circlesIn(underWay, ({ taken }) => taken).map(
    (state) => `${subject.name}: ${state} may be come to again and again while a command waits`,
  );
  const lies = places.flatMap(({ state, snapshot, moves, isRest }) =>
    moves
      .filter(({ kind }) => kind === 'command')
      .flatMap(({ name, taken }) => {
        if (snapshot.can({ type: name } as never) !== taken)
          return [`${subject.name}: ${state} says of ${name} the contrary of what it does`];
        // Whoever waits for its turn must not wait for ever.
        return subject.whenBusy === 'wait' && isRest && !taken
          ? [`${subject.name}: ${state} never takes ${name}, which waits for it`]
          : [];
      }),
  );
  return unique([...problems, ...dropped, ...circles, ...lies]);
}

/** 4. When every step is done, a rest or an end is come to; and whatever rests takes what it must always take. */
export function restIsReached({ subject, places }: Exploration): string[] {
  const isOver = (place: Place): boolean => place.isRest || place.isFinal;
  const onTheWay = places.filter((place) => !isOver(place));
  const works = (move: Move): boolean => move.taken && (move.kind === 'done' || move.kind === 'timer');
  const circles = circlesIn(onTheWay, works).map(
    (state) => `${subject.name}: ${state} never comes to rest, though every step is done`,
  );
  const deadEnds = onTheWay
    .filter(({ moves }) => !moves.some(works))
    .map(({ state }) => `${subject.name}: ${state} does not go on, though its step is done`);
  const closed = places
    .filter(({ isRest, isWaiting }) => isRest || isWaiting)
    .flatMap(({ state, moves }) =>
      subject.always
        .filter((name) => !moves.some((move) => move.name === name && move.taken && move.to.state !== state))
        .map((name) => `${subject.name}: ${state} does not take ${name}`),
    );
  return unique([...circles, ...deadEnds, ...closed]);
}

/** 5. Every state and every transition that is declared can be come to, and whatever may be sent is taken somewhere. */
export function everythingIsReached(exploration: Exploration): string[] {
  const { subject, places, taken } = exploration;
  const { states, transitions } = declaredIn(exploration);
  const seen = new Set(places.map(({ state }) => state));
  const used = new Set(
    places.flatMap(({ moves }) => moves.filter((move) => move.taken)).map(({ name }) => name),
  );
  const sent = [...Object.keys(subject.commands), ...subject.events.map(({ type }) => type)];
  return [
    ...sent.filter((name) => !used.has(name)).map((name) => `${subject.name}: no state takes ${name}`),
    ...states
      .filter((state) => !seen.has(state))
      .map((state) => `${subject.name}: nothing leads to ${state}`),
    ...transitions
      .filter(({ transition }) => !taken.has(transition))
      .map(({ name }) => `${subject.name}: never made: ${name}`),
  ];
}

/** 6. Every state is in the page: a row of a table whose first cell is the state's name. */
export function statesAreInThePage(exploration: Exploration, table: string): string[] {
  const rows = new Set([...table.matchAll(/^\| `([\w.]+)`/gm)].map(([, state]) => state));
  return declaredIn(exploration)
    .states.filter((state) => !rows.has(state))
    .map((state) => `${exploration.subject.name}: ${state} is not in the page`);
}

/** Checks 1 to 5. */
export function problemsOf(exploration: Exploration): string[] {
  return [stepsLeadOn, nothingStaysForEver, commandsAreAnswered, restIsReached, everythingIsReached].flatMap(
    (check) => check(exploration),
  );
}

/** Whether a move ends its state without anybody's doing. */
function endsByItself({ background, watches }: Exploration['subject'], { kind, name, taken }: Move): boolean {
  if (!taken || kind === 'command' || kind === 'event') return false;
  return kind === 'timer' || !(background.includes(name) || watches.includes(name));
}

/** The states among `places` that can be come to again and again by moves that `counts` accepts. */
function circlesIn(places: readonly Place[], counts: (move: Move) => boolean): string[] {
  const left = new Set(places);
  const goesOn = ({ moves }: Place): boolean => moves.some((move) => counts(move) && left.has(move.to));
  // What does not lead to another of them is on no circle; take that away until nothing changes.
  for (let before = -1; before !== left.size; ) {
    before = left.size;
    for (const place of [...left]) if (!goesOn(place)) left.delete(place);
  }
  return [...left].map(({ state }) => state);
}

function unique(lines: readonly string[]): string[] {
  return [...new Set(lines)];
}
