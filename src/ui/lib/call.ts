/** A request to the server as data: it can be sent, and shown as a person would send it by hand. */

export interface Call {
  /** What it is called, as the command where it is one: `pause`, `list snapshots`. */
  name: string;
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Of the server, with its query. */
  path: string;
  body?: object;
  /** Name of the file that is the body. */
  file?: string;
  headers?: Record<string, string>;
  /** The same command over NATS; absent for what only the edge answers. */
  nats?: { subject: string; body: object; timeoutS: number };
}

/** Text as one word of a POSIX shell. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * The command line that sends it over HTTP.
 *
 * @param origin of the server, such as `http://127.0.0.1:7070`
 * @param hasKey whether the server asks for a key; the key itself is never part of the text
 */
export function curlOf(call: Call, origin: string, hasKey: boolean): string {
  const { method, path, body, file, headers = {} } = call;
  const parts = [`curl -s ${method === 'GET' ? '' : `-X ${method} `}${quoted(origin + path)}`];
  if (file !== undefined) parts.push(`-T ${quoted(file)}`);
  if (hasKey) parts.push('-H "X-API-Key: $DORMOUSE_API_KEY"');
  const sent = { ...(body && { 'content-type': 'application/json' }), ...headers };
  for (const [name, value] of Object.entries(sent)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body) parts.push(`-d ${quoted(JSON.stringify(body))}`);
  return parts.join(' \\\n  ');
}

/** The command line that sends it over NATS; undefined for what only the edge answers. */
export function natsOf({ nats }: Call): string | undefined {
  return nats && `nats req --timeout ${nats.timeoutS}s ${nats.subject} ${quoted(JSON.stringify(nats.body))}`;
}
