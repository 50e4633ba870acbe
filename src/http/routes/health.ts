import { Type } from 'typebox';
import { DormouseError } from '../../errors/index.ts';
import { errorResponses } from '../plugins/rules.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';

/** How long the database may take to answer a probe, in milliseconds. */
const RECORDS_LIMIT_MS = 2_000;

const closed = { additionalProperties: false };

/** Probes, without a key: whether the process lives, and whether it can serve. */
export function addHealthRoutes(app: EdgeApp, { bus, records, clock, version }: EdgePorts): void {
  app.get(
    '/healthz',
    {
      schema: {
        operationId: 'health',
        summary: 'Says that the process lives.',
        tags: ['Health'],
        response: { 200: Type.Object({ status: Type.Literal('ok'), version: Type.String() }, closed) },
      },
    },
    async () => ({ status: 'ok' as const, version }),
  );

  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'readiness',
        summary: 'Says whether requests can be served: the message bus and the database answer.',
        tags: ['Health'],
        response: {
          200: Type.Object({ status: Type.Literal('ready') }, closed),
          ...errorResponses(['BUS_UNAVAILABLE', 'RECORDS_UNAVAILABLE']),
        },
      },
    },
    async () => {
      if (bus.status() !== 'connected')
        throw new DormouseError('BUS_UNAVAILABLE', 'There is no connection to the message bus.');
      await withinLimit(records.ping());
      return { status: 'ready' as const };
    },
  );

  async function withinLimit(answer: Promise<void>): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = clock.after(RECORDS_LIMIT_MS, () =>
      late.reject(
        new DormouseError(
          'RECORDS_UNAVAILABLE',
          `The database did not answer within ${RECORDS_LIMIT_MS} ms.`,
        ),
      ),
    );
    try {
      await Promise.race([answer, late.promise]);
    } finally {
      timer.cancel();
    }
  }
}
