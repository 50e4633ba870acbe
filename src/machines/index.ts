export { machineDefinition } from './definition.ts';
export { MachineDrawing } from './drawing.ts';
export { machineDrawing, machineGraph } from './drawings.ts';
export { kinds } from './kinds.ts';
export { mermaidOf } from './mermaid.ts';
export { svgOf } from './svg.ts';
