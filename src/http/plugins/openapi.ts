import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { EdgeApp } from '../ports.ts';
import { named } from '../schemas.ts';

/** Nothing from elsewhere, and no scripts but those of the page; its styles are set by script, which needs `unsafe-inline`. */
const DOCS_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PUBLIC_TAGS = ['Health'];

/**
 * The OpenAPI document at `/openapi.json`, made from the routes' schemas, and a page at `/docs` to read and try it, which
 * works without a network. Must be called before the first route is added.
 */
export async function addOpenapi(app: EdgeApp, version: string): Promise<void> {
  for (const [name, schema] of Object.entries(named)) app.addSchema({ ...schema, $id: name });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Dormouse',
        version,
        description:
          'Sandboxes: small virtual machines that pause with memory and disk and wake where they left off. ' +
          'Errors are problem documents (RFC 9457) with a stable `code`.',
      },
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer' },
          apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
        },
      },
      security: [{ bearer: [] }, { apiKey: [] }],
    },
    refResolver: {
      buildLocalReference: (json, _baseUri, _fragment, index) => String(json.$id ?? `def-${index}`),
    },
    transform: ({ schema, url }) => ({
      url,
      schema: schema?.tags?.some((tag) => PUBLIC_TAGS.includes(tag)) ? { ...schema, security: [] } : schema,
    }),
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: DOCS_POLICY,
    uiConfig: { url: '/openapi.json', validatorUrl: null, persistAuthorization: false },
    theme: { title: 'Dormouse API' },
  });
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
}
