import { TYPE } from './measure.ts';

/** The styles of a picture. Colours are those of the pages; kinds of edges differ in their dashes, too. */
export const SVG_STYLE = `
svg { color-scheme: light dark; font-family: ui-monospace, "Cascadia Mono", "SF Mono", "DejaVu Sans Mono", monospace;
  --paper: #f4f3ef; --panel: #fffefb; --frame: #eae8e1; --ink: #1c1d20; --ink-2: #55575e; --line: #8b887e;
  --failure: #b3261e; --command: #0b5f66; --timeout: #8a5a00; --event: #4b5a86; }
@media (prefers-color-scheme: dark) { svg { --paper: #14161a; --panel: #1b1e24; --frame: #0f1114; --ink: #e6e4dd;
  --ink-2: #a4a6ad; --line: #6a6f7b; --failure: #ff8a7a; --command: #62c6cf; --timeout: #e3b04b; --event: #9db0e6; } }
.paper { fill: var(--paper); }
.frame { fill: var(--frame); stroke: var(--line); }
.plate { fill: var(--panel); stroke: var(--ink-2); }
.rest { stroke: var(--ink); stroke-width: 2; }
.way-back { stroke: var(--failure); stroke-dasharray: 3 2; }
.inner { fill: none; stroke: var(--ink-2); }
.initial { fill: var(--ink); }
text { fill: var(--ink); font-size: ${TYPE.state}px; dominant-baseline: central; }
.name, .step-name, .label { text-anchor: middle; }
.name, .title { font-weight: 600; }
.step-name { fill: var(--ink-2); font-size: ${TYPE.step}px; }
.label, .legend { font-size: ${TYPE.label}px; }
.label, .title { paint-order: stroke; stroke: var(--paper); stroke-width: 6px; stroke-linejoin: round; }
.title { stroke: var(--frame); }
.step { --kind: var(--ink); }
.failure { --kind: var(--failure); }
.command { --kind: var(--command); }
.timeout { --kind: var(--timeout); }
.event { --kind: var(--event); }
.line { fill: none; stroke: var(--kind); stroke-width: 1.3; }
.failure .line { stroke-dasharray: 5 3; }
.command .line { stroke-width: 2; }
.timeout .line { stroke-dasharray: 1.5 3; stroke-width: 1.8; }
.event .line { stroke-dasharray: 9 3 2 3; }
.head, .label { fill: var(--kind); }
`;
