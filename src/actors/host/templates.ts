import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../clock.ts';
import type { DiskDriver } from '../../drivers/disk/types.ts';
import { exists, fileError, makeFolder, renameDurably, syncFolder } from '../../durable-file.ts';
import { DormouseError } from '../../errors/index.ts';
import { newTemplateId, PLATFORM_TEAM_ID } from '../../ids.ts';
import { Borrowers } from './borrowers.ts';
import type { ImageUsers } from './image-users.ts';
import {
  detailsOf,
  IMAGE_FILE,
  infoOf,
  leastDiskMb,
  readSaved,
  readTemplate,
  type Shape,
  shapeKey,
  sizeMbOf,
  type Template,
  templateOf,
} from './template.ts';
import { plainTemplateFile, type TemplateFile, templateFileOf, writeTemplateFile } from './template-file.ts';
import type { TemplateDetails, TemplateInfo } from './template-protocol.ts';

export interface TemplatesOptions {
  /** Folder of the templates. */
  root: string;
  hostId: string;
  /** Kind of the disks that are made: a saved machine of another kind would give its kind to its clones. */
  diskKind: DiskDriver['kind'];
  clock: Pick<Clock, 'nowMs'>;
  usersOf: ImageUsers;
}

/** Folders of templates that were built here; that of the platform's own has its name. */
const TEMPLATE_FOLDER = /^t-[a-z2-7]{20}$/;

/**
 * The templates of a host, each in a folder of its own: `<id>/{rootfs.ext4 or snapshot/, template.json, warm/<vcpus>x<memory>/}`. Images
 * are never moved or changed in place: disks may stand on them.
 */
export class Templates {
  readonly #options: TemplatesOptions;
  readonly #warmFolder: string;
  /** By id. Of several of one name the newest is the one. */
  readonly #known = new Map<string, Template>();
  /** Ids of those whose name a newer one has. They go when nobody needs them. */
  readonly #replaced = new Set<string>();
  /** Ids of those that are being made, with whose they will be. */
  readonly #making = new Map<string, { teamId: string; name: string }>();
  /** Who makes something from a template right now, by its id. */
  readonly #borrowers = new Borrowers();

  constructor(options: TemplatesOptions) {
    this.#options = options;
    this.#warmFolder = options.diskKind === 'reflink' ? 'warm' : `warm-${options.diskKind}`;
  }

  /** Reads what is there. Folders that are not whole are left alone and not offered. */
  async load(): Promise<void> {
    const { root } = this.#options;
    await makeFolder(root);
    for (const name of await readdir(root)) {
      const template = await readTemplate(path.join(root, name), this.#warmFolder);
      if (template) this.#add(template);
    }
    await this.#retire();
  }

  /**
   * Makes sure that the platform has the template; `build` writes its image when it has not.
   *
   * @returns the platform's template of that name
   */
  async ensure(name: string, build: (imagePath: string) => Promise<void>): Promise<Template> {
    const known = this.#newest(PLATFORM_TEAM_ID, name);
    if (known) return known;
    const dir = path.join(this.#options.root, name);
    const imagePath = path.join(dir, IMAGE_FILE);
    await makeFolder(dir);
    if ((await sizeMbOf(imagePath).catch(() => undefined)) === undefined) await build(imagePath);
    const file = plainTemplateFile(name, name, this.#options.clock.nowMs());
    await writeTemplateFile(dir, file);
    return this.#add(await templateOf(dir, file, this.#warmFolder));
  }

  /** The images of base templates, for what changes them before the host starts. `refresh` has to follow. */
  images(): Array<{ name: string; imagePath: string }> {
    return [...this.#known.values()].flatMap(({ file, imagePath }) =>
      imagePath !== undefined && file.kind === 'base' ? [{ name: file.name, imagePath }] : [],
    );
  }

  /** Measures the images again. A template whose image is gone is no longer offered. */
  async refresh(): Promise<void> {
    for (const [id, template] of this.#known) {
      if (template.imagePath === undefined) continue;
      const sizeMb = await leastDiskMb(template.file, template.imagePath).catch(() => undefined);
      if (sizeMb === undefined) this.#known.delete(id);
      else template.sizeMb = sizeMb;
    }
  }

  /** The team's template of that name, else the platform's. */
  find(teamId: string, name: string): Template | undefined {
    return this.#newest(teamId, name) ?? this.#newest(PLATFORM_TEAM_ID, name);
  }

  /** What `find` finds. Throws `TEMPLATE_NOT_FOUND`, with the names that there are. */
  get(teamId: string, name: string): Template {
    const template = this.find(teamId, name);
    if (template) return template;
    const names = this.#current()
      .filter(({ file }) => file.team_id === teamId || file.team_id === PLATFORM_TEAM_ID)
      .map(({ file }) => file.name);
    throw new DormouseError(
      'TEMPLATE_NOT_FOUND',
      `There is no template "${name}". There are: ${[...new Set(names)].join(', ') || 'none'}.`,
      { data: { template: name } },
    );
  }

  /** The template that the command made; undefined when it made none that is still here. */
  madeBy(commandId: string): Template | undefined {
    return this.#current().find(({ file }) => file.command_id === commandId);
  }

  /** All of a template, in the words of the protocol. */
  async details(template: Template): Promise<TemplateDetails> {
    return await detailsOf(template, this.#options.hostId);
  }

  /** Templates that can be used, in the words of the directory of hosts. */
  async describe(): Promise<TemplateInfo[]> {
    return await Promise.all(this.#current().map(infoOf));
  }

  hasWarm(template: Template, shape: Shape): boolean {
    return template.saved !== undefined || template.warm.has(shapeKey(shape));
  }

  /** The template that a folder will be that is still being filled. Throws what reading its parts throws. */
  async draft(dir: string, file: TemplateFile): Promise<Template> {
    return await templateOf(dir, file, this.#warmFolder);
  }

  /** Keeps a snapshot directory as the template's booted state of that shape. It is moved. */
  async keepWarm(template: Template, shape: Shape, snapshotDir: string): Promise<void> {
    const warmRoot = path.join(template.dir, this.#warmFolder);
    const target = path.join(warmRoot, shapeKey(shape));
    await makeFolder(warmRoot);
    await rm(target, { recursive: true, force: true });
    await renameDurably(snapshotDir, target);
    template.warm.set(shapeKey(shape), await readSaved(target));
  }

  /** Keeps the template from being removed while something is made from it. `who` is named to whoever wants to. */
  async lend<T>({ file }: Template, who: string, use: () => Promise<T>): Promise<T> {
    return await this.#borrowers.lend(file.id, who, use);
  }

  /**
   * Makes a template: `work` fills its folder and says what it is; then it is described, durably, and offered. One of the same name is
   * replaced then. Nothing is left when that fails.
   *
   * @throws `TEMPLATE_EXISTS` when the team has one of that name and does not want to overwrite it, or makes one right now; what
   * `work` throws
   */
  async make(
    wish: { teamId: string; name: string; overwrite: boolean },
    work: (draft: { id: string; dir: string }) => Promise<TemplateFile>,
  ): Promise<TemplateDetails> {
    const { teamId, name, overwrite } = wish;
    const twin = [...this.#making.values()].some((other) => other.teamId === teamId && other.name === name);
    if (twin || (!overwrite && this.#newest(teamId, name)))
      throw new DormouseError(
        'TEMPLATE_EXISTS',
        twin
          ? `A template "${name}" is being made right now.`
          : `There is a template "${name}" already. Choose another name, or say that it is to be overwritten.`,
        { data: { template: name } },
      );
    const id = newTemplateId();
    const dir = path.join(this.#options.root, id);
    this.#making.set(id, { teamId, name });
    try {
      await makeFolder(dir);
      const file = this.#later(await work({ id, dir }));
      const template = await templateOf(dir, file, this.#warmFolder);
      await writeTemplateFile(dir, file);
      await syncFolder(this.#options.root);
      this.#add(template);
      const details = await this.details(template);
      await this.#retire();
      return details;
    } catch (error) {
      if (!this.#known.has(id)) await this.removeStray({ id, dir }).catch(() => {});
      throw error;
    } finally {
      this.#making.delete(id);
    }
  }

  /**
   * Removes the team's own template.
   *
   * @returns what it was
   * @throws `TEMPLATE_NOT_FOUND`, `FORBIDDEN` for the platform's; `TEMPLATE_IN_USE`, with the users, while disks stand on its image or
   * something is being made from it: a disk without its image is lost, and the caller can end its users first
   */
  async remove(teamId: string, name: string): Promise<TemplateDetails> {
    const template = this.get(teamId, name);
    if (template.file.team_id !== teamId)
      throw new DormouseError('FORBIDDEN', `The template "${name}" belongs to the platform.`);
    const details = await this.details(template);
    // From here on nothing new is made from it.
    this.#known.delete(template.file.id);
    try {
      const users = await this.#usersOf(template);
      if (users.length > 0)
        throw new DormouseError(
          'TEMPLATE_IN_USE',
          `The template "${name}" is in use by ${users.join(', ')}. Destroy them first.`,
          { data: { template: name, users } },
        );
      await rm(templateFileOf(template.dir), { force: true });
    } catch (error) {
      this.#add(template);
      throw fileError(template.dir, error);
    }
    await erase(template.dir);
    return details;
  }

  /** Folders of templates that nobody is making, that were never finished or were replaced, with why each is to go. */
  async strays(): Promise<Array<{ id: string; dir: string; why: string }>> {
    const { root } = this.#options;
    const strays: Array<{ id: string; dir: string; why: string }> = [];
    for (const id of await readdir(root).catch((): string[] => [])) {
      const dir = path.join(root, id);
      if (this.#replaced.has(id)) strays.push({ id, dir, why: 'A newer template has its name.' });
      else if (
        TEMPLATE_FOLDER.test(id) &&
        !this.#known.has(id) &&
        !this.#making.has(id) &&
        !(await isDescribed(dir))
      )
        strays.push({ id, dir, why: 'It is a template that was never finished.' });
    }
    return strays;
  }

  /** Whether something is made from the stray right now, or a disk stands on its image. */
  async isNeeded({ id, dir }: { id: string; dir: string }): Promise<boolean> {
    if (this.#borrowers.of(id).length > 0) return true;
    const disks = await this.#options.usersOf(path.join(dir, IMAGE_FILE), { but: dir });
    // Again: looking for disks takes a while.
    return disks.length > 0 || this.#borrowers.of(id).length > 0;
  }

  /**
   * Removes a stray folder, unless somebody needs it: then it stays until a later look, without its description. True when it is gone.
   */
  async removeStray(stray: { id: string; dir: string }): Promise<boolean> {
    await rm(templateFileOf(stray.dir), { force: true });
    if (await this.isNeeded(stray)) return false;
    await erase(stray.dir);
    this.#replaced.delete(stray.id);
    return true;
  }

  /** Takes a template in; of those with its name all but the newest count as replaced. */
  #add(template: Template): Template {
    const { id, team_id, name } = template.file;
    this.#known.set(id, template);
    const namesakes = [...this.#known.values()].filter(
      ({ file }) => file.team_id === team_id && file.name === name,
    );
    const newest = namesakes.reduce((one, other) =>
      other.file.created_at >= one.file.created_at ? other : one,
    );
    for (const { file } of namesakes) {
      if (file.id === newest.file.id) continue;
      this.#known.delete(file.id);
      this.#replaced.add(file.id);
    }
    return template;
  }

  /**
   * Lets go of what was replaced. Its description goes at once: it must not come back when the newer one is removed. The rest goes
   * when no disk stands on its image; what cannot go yet is a stray. The newer one is there whatever becomes of this.
   */
  async #retire(): Promise<void> {
    for (const id of this.#replaced)
      await this.removeStray({ id, dir: path.join(this.#options.root, id) }).catch(() => {});
  }

  /** The clock may have gone back since the one that this replaces was made; the newest is the one that counts. */
  #later(file: TemplateFile): TemplateFile {
    const before = Date.parse(this.#newest(file.team_id, file.name)?.file.created_at ?? '');
    if (!(before >= Date.parse(file.created_at))) return file;
    return { ...file, created_at: new Date(before + 1).toISOString() };
  }

  #current(): Template[] {
    return [...this.#known.values()];
  }

  #newest(teamId: string, name: string): Template | undefined {
    return this.#current().find(({ file }) => file.team_id === teamId && file.name === name);
  }

  async #usersOf({ file, dir, imagePath }: Template): Promise<string[]> {
    const borrowers = this.#borrowers.of(file.id);
    const disks = imagePath === undefined ? [] : await this.#options.usersOf(imagePath, { but: dir });
    // Again: looking for disks takes a while.
    return [...new Set([...borrowers, ...disks, ...this.#borrowers.of(file.id)])];
  }
}

/** Whether the folder says what it is. That which cannot be read, such as the word of a newer version, is somebody's all the same. */
async function isDescribed(dir: string): Promise<boolean> {
  return await exists(templateFileOf(dir));
}

/** Removes a template's folder: what it says of itself goes first, so that a part of it is no template. */
async function erase(dir: string): Promise<void> {
  try {
    await rm(templateFileOf(dir), { force: true });
    await rm(dir, { recursive: true, force: true });
  } catch (error) {
    throw fileError(dir, error);
  }
}
