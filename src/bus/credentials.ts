import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { nkeys } from '@nats-io/transport-node';
import type { Config } from '../config/config.ts';
import { variables } from '../config/variables.ts';
import { DormouseError, messageOf } from '../errors/index.ts';
import type { ConnectionOptions } from './connection.ts';

/** The settings that name files. */
type FileSettings = Pick<Config, 'natsSeedFile' | 'natsCa' | 'natsCert' | 'natsKey'>;

/**
 * How this process proves to NATS who it is, and whom it believes: read from the files that the settings name. They are looked at
 * here, so that a wrong one is told at the start. Those of TLS are read again for each connection: a certificate that was
 * renewed is used by the next one.
 *
 * @throws `CONFIG_INVALID` with the setting and the path of a file that cannot be read or used; nothing of its content
 */
export async function readCredentials(
  settings: FileSettings,
): Promise<Pick<ConnectionOptions, 'nkeySeed' | 'tls'>> {
  const { natsSeedFile, natsCa, natsCert, natsKey } = settings;
  const seed = await contentOf('natsSeedFile', natsSeedFile);
  const ca = await contentOf('natsCa', natsCa);
  const cert = await contentOf('natsCert', natsCert);
  const key = await contentOf('natsKey', natsKey);
  if (ca) usable('natsCa', natsCa, 'certificates in PEM', () => new X509Certificate(ca));
  if (cert && key)
    usable('natsCert', natsCert, `a certificate in PEM that belongs to the key in ${natsKey}`, () =>
      createSecureContext({ cert, key }),
    );
  return {
    ...(seed && { nkeySeed: seedOf(seed, natsSeedFile) }),
    ...((ca || cert) && {
      tls: {
        ...(natsCa !== undefined && { caFile: natsCa }),
        ...(natsCert !== undefined && { certFile: natsCert }),
        ...(natsKey !== undefined && { keyFile: natsKey }),
      },
    }),
  };
}

async function contentOf(setting: keyof FileSettings, file: string | undefined): Promise<Buffer | undefined> {
  if (file === undefined) return undefined;
  return await readFile(file).catch((cause: NodeJS.ErrnoException) => {
    throw new DormouseError(
      'CONFIG_INVALID',
      `${variables[setting].name}: ${file} cannot be read (${cause.code}). Name a file that the user who runs this may read.`,
      { cause },
    );
  });
}

function seedOf(content: Buffer, file: string | undefined): Uint8Array {
  const seed = Buffer.from(content.toString().trim());
  usable('natsSeedFile', file, 'the seed of a user, which begins with SU, and nothing else', () => {
    if (!nkeys.fromSeed(seed).getPublicKey().startsWith('U')) throw new Error('it is not that of a user');
  });
  return seed;
}

function usable(
  setting: keyof FileSettings,
  file: string | undefined,
  what: string,
  look: () => unknown,
): void {
  try {
    look();
  } catch (error) {
    throw new DormouseError(
      'CONFIG_INVALID',
      `${variables[setting].name}: ${file} must hold ${what} (${messageOf(error)}).`,
    );
  }
}
