import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { execa } from 'execa';
import { DormouseError, messageOf } from '../errors/index.ts';
import type { Upload } from './http.ts';

/**
 * A file as it is, or a folder as a tar that is made while it is sent. Nothing is written here.
 *
 * @throws `INVALID_REQUEST` when there is no such file or folder
 */
export async function openSource(from: string): Promise<Upload> {
  const found = await stat(from).catch((cause: NodeJS.ErrnoException) => {
    throw new DormouseError('INVALID_REQUEST', `${from} cannot be read (${cause.code}).`, { cause });
  });
  if (found.isDirectory()) return { content: Readable.from(packed(from)), size: undefined };
  // A pipe has no size before its end.
  const size = found.isFile() ? found.size : undefined;
  return { content: Readable.from(contentOf(from)), size };
}

async function* contentOf(file: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of createReadStream(file)) yield chunk as Uint8Array;
  } catch (cause) {
    throw new DormouseError('INVALID_REQUEST', `${file} cannot be read: ${messageOf(cause)}.`, { cause });
  }
}

/** The folder as a tar. A tar that fails makes the upload fail, too: half of a folder must not become a template. */
async function* packed(folder: string): AsyncGenerator<Uint8Array> {
  const controller = new AbortController();
  const tar = execa('tar', ['-C', folder, '--numeric-owner', '-c', '.'], {
    buffer: { stdout: false, stderr: true },
    encoding: 'buffer',
    stdin: 'ignore',
    reject: false,
    cancelSignal: controller.signal,
  });
  try {
    for await (const chunk of tar.stdout) yield chunk as Uint8Array;
    const { failed, exitCode, stderr, shortMessage } = await tar;
    if (failed)
      throw new DormouseError(
        'INVALID_REQUEST',
        `${folder} cannot be packed: ${
          Buffer.from(stderr ?? '')
            .toString()
            .trim()
            .split('\n')[0] || shortMessage
        } (tar: ${exitCode ?? 'not started'}).`,
      );
  } finally {
    controller.abort();
    await tar;
  }
}
