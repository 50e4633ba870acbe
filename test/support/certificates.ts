import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';

/** Files in PEM. */
export interface Pair {
  cert: string;
  key: string;
}

/** A certificate authority in a folder. Node makes no certificates, so openssl does. */
export interface Authority {
  /** File with its certificate. */
  ca: string;
  /** A certificate for both ends of a connection, for `localhost` and 127.0.0.1, and its key. */
  issue(name: string): Promise<Pair>;
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export async function newAuthority(folder: string, name: string): Promise<Authority> {
  const files = (of: string): Pair => ({
    cert: path.join(folder, `${of}.crt`),
    key: path.join(folder, `${of}.key`),
  });
  const root = files(name);
  const subject = (of: string): string[] => ['-subj', `/CN=${of}`];
  await execa('openssl', [
    ...['req', '-x509', ...NEW_KEY, ...subject(name), '-days', '2'],
    ...['-keyout', root.key, '-out', root.cert],
  ]);
  return {
    ca: root.cert,
    async issue(of) {
      const pair = files(of);
      const request = path.join(folder, `${of}.csr`);
      const extensions = path.join(folder, `${of}.ext`);
      await writeFile(extensions, 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
      await execa('openssl', [
        ...['req', ...NEW_KEY, ...subject(of)],
        ...['-keyout', pair.key, '-out', request],
      ]);
      await execa('openssl', [
        ...['x509', '-req', '-in', request, '-CA', root.cert, '-CAkey', root.key, '-CAcreateserial'],
        ...['-days', '2', '-extfile', extensions, '-out', pair.cert],
      ]);
      return pair;
    },
  };
}
