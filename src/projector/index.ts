export { runProjector } from './projector.ts';
