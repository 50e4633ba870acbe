import { isUtf8 } from 'node:buffer';
import { MAX_STDIN_BYTES } from '../actors/sandbox/protocol.ts';
import { DormouseError } from '../errors/index.ts';

/**
 * All of standard input as the fields of an exec, or none of them when standard input is a terminal: an exec takes its
 * input whole, so there is nobody to type to.
 *
 * @throws `PAYLOAD_TOO_LARGE` above `MAX_STDIN_BYTES`
 */
export async function readStdin(): Promise<{ stdin?: string; stdin_encoding?: 'utf8' | 'base64' }> {
  if (process.stdin.isTTY) return {};
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_STDIN_BYTES) {
      throw new DormouseError(
        'PAYLOAD_TOO_LARGE',
        `An exec takes at most ${MAX_STDIN_BYTES} bytes of standard input. Bring larger data into the sandbox in parts.`,
      );
    }
  }
  if (size === 0) return {};
  const bytes = Buffer.concat(chunks);
  const encoding = isUtf8(bytes) ? 'utf8' : 'base64';
  return { stdin: bytes.toString(encoding), stdin_encoding: encoding };
}
