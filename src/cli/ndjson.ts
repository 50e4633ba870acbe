/**
 * Lines of JSON (application/x-ndjson) from parts that may end anywhere, also inside of a character. Empty lines, which
 * servers send to keep a connection alive, are left out.
 *
 * @throws `SyntaxError` when a line is not JSON or the last one is not complete
 */
export async function* parseNdjson(parts: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder('utf-8', { fatal: false });
  // The pieces of the line that is not complete yet: joined once, so that a long line takes linear time.
  let pieces: string[] = [];
  for await (const part of parts) {
    const lines = decoder.decode(part, { stream: true }).split('\n');
    const last = lines.pop() ?? '';
    for (const line of lines) {
      const whole = pieces.join('') + line;
      pieces = [];
      if (whole.trim() !== '') yield JSON.parse(whole);
    }
    pieces.push(last);
  }
  const rest = pieces.join('') + decoder.decode();
  if (rest.trim() !== '') yield JSON.parse(rest);
}
