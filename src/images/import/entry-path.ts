import { partsOf } from './file-tree.ts';
import { invalid } from './invalid.ts';
import type { ImportLimits } from './limits.ts';

/**
 * The path within the root file system that tar unpacks an entry to: a slash in front is left out, as tar does.
 *
 * @throws `TEMPLATE_INVALID` when it would lead out of the folder or is too long
 */
export function entryPath(name: string, limits: ImportLimits): string {
  const parts = partsOf(name);
  if (parts.includes('..'))
    throw invalid('path-escape', 'The archive has an entry whose name leads out of its folder by `..`.', {
      entry: name,
    });
  const path = parts.join('/');
  if (path.length > limits.pathBytes || parts.some((part) => part.length > limits.nameBytes))
    throw invalid(
      'name',
      `The archive has an entry whose path or name is too long; ${limits.pathBytes} and ${limits.nameBytes} bytes are possible.`,
      { entry: name },
    );
  return path;
}

/** Folder and name of a path that is not the root. */
export function splitPath(path: string): { folder: string; name: string } {
  const at = path.lastIndexOf('/');
  return { folder: path.slice(0, Math.max(0, at)), name: path.slice(at + 1) };
}
