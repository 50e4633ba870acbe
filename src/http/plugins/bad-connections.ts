import { maxHeaderSize, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { DormouseError } from '../../errors/index.ts';
import { newRequestId } from '../../ids.ts';
import { PROBLEM_TYPE, problemOf } from '../problem.ts';

/** How long a caller may take to send its headers, in milliseconds. Answers may take as long as they need. */
export const HEADERS_MS_MAX = 10_000;

/** Answers what is not HTTP, too long or too slow. There is no request yet: only a connection. */
export function answerBadConnection(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET') socket.destroy();
  else endWith(errorOf(error.code), socket);
}

function errorOf(code: string | undefined): DormouseError {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new DormouseError(
        'REQUEST_TIMEOUT',
        `The headers did not come within ${HEADERS_MS_MAX / 1000} seconds. Send the request again.`,
        { data: { limit_s: HEADERS_MS_MAX / 1000 } },
      );
    case 'HPE_HEADER_OVERFLOW':
      return new DormouseError(
        'HEADERS_TOO_LARGE',
        `Path and headers have more than ${maxHeaderSize} bytes together. Send fewer or shorter ones.`,
        { data: { limit_bytes: maxHeaderSize } },
      );
  }
  return new DormouseError('INVALID_REQUEST', `The connection did not carry a valid HTTP request (${code}).`);
}

/** Answers with an error, if anybody can hear it, and closes the connection. */
export function endWith(error: DormouseError, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const problem = problemOf(error, newRequestId());
  const body = JSON.stringify(problem);
  socket.end(
    [
      `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
      `Content-Type: ${PROBLEM_TYPE}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}
