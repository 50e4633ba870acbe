import { messageOf } from '../../errors/index.ts';
import type { Logger } from '../../log.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { Captures } from './captures.ts';
import type { Leak } from './reconcile.ts';
import type { Templates } from './templates.ts';
import type { Uploads } from './uploads.ts';

export interface LeftoversOptions {
  templates: Pick<Templates, 'strays' | 'isNeeded' | 'removeStray'>;
  captures: Pick<Captures, 'begin' | 'strays' | 'removeStray'>;
  uploads: Pick<Uploads, 'begin' | 'forgetIdle' | 'strays' | 'removeStray'>;
  sandboxes(): readonly Sandbox[];
  log: Logger;
}

/**
 * What the host's own operations leave: captures, uploads, templates that were not finished or were replaced. Who works on one
 * says so before its folder is there and until it is gone, so what nobody names is nobody's, at any moment.
 */
export class Leftovers {
  readonly #options: LeftoversOptions;

  constructor(options: LeftoversOptions) {
    this.#options = options;
  }

  /** Removes what an earlier agent left. To be called before the first actor lives. @returns how many things */
  async begin(): Promise<number> {
    const { captures, uploads } = this.#options;
    return (await captures.begin()) + (await uploads.begin()) + (await this.#removeTemplates());
  }

  /** Removes what is nobody's by now. What cannot be removed is tried again at the next pass. */
  async pass(): Promise<void> {
    const { captures, uploads, sandboxes, log } = this.#options;
    for (const id of await uploads.forgetIdle())
      log.info({ upload: id }, 'forgot an upload that was left alone');
    for (const name of await captures.strays(sandboxes())) await captures.removeStray(name);
    for (const name of await uploads.strays()) await uploads.removeStray(name);
    await this.#removeTemplates();
  }

  /** What is there for nobody's sake, for a person. A template that disks stand on is no leak: it goes after them. */
  async find(): Promise<Leak[]> {
    const { templates, captures, uploads, sandboxes } = this.#options;
    const leaks: Leak[] = [];
    for (const name of await captures.strays(sandboxes()))
      leaks.push({ kind: 'capture', name, detail: 'It is a copy of a sandbox that nobody uses.' });
    for (const name of await uploads.strays())
      leaks.push({ kind: 'upload', name, detail: 'It is of an upload that is not there.' });
    for (const stray of await templates.strays())
      if (!(await templates.isNeeded(stray)))
        leaks.push({ kind: 'template', name: stray.id, detail: stray.why });
    return leaks;
  }

  async #removeTemplates(): Promise<number> {
    const { templates, log } = this.#options;
    let removed = 0;
    for (const stray of await templates.strays()) {
      try {
        if (!(await templates.removeStray(stray))) continue;
        removed += 1;
        log.info({ template: stray.id, why: stray.why }, 'removed a template that is not offered');
      } catch (error) {
        log.warn({ template: stray.id, err: messageOf(error) }, 'a template could not be removed yet');
      }
    }
    return removed;
  }
}
