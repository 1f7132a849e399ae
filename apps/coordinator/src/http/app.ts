import { join } from 'node:path';
import { FlError, type ModelRef, type RunView } from '@cotune/fl-core';
import { getConnInfo } from '@hono/node-server/conninfo';
import { type Context, Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { routePath } from 'hono/route';
import type { BlobStore } from '../blobs/blob-store.ts';
import type { ModelCatalog } from '../evaluator/model-catalog.ts';
import type { Log } from '../log.ts';
import { admits, type DoorRules } from '../sockets/origin.ts';
import { securityHeaders } from './headers.ts';
import type { Metrics } from './metrics.ts';
import { IMMUTABLE, PRIVATE, REVALIDATE, sendFile } from './send-file.ts';
import type { Sessions } from './sessions.ts';
import { serveWebApp } from './web-app.ts';

export interface HttpServices {
  readonly rules: DoorRules;
  readonly sessions: Sessions;
  readonly models: ModelCatalog;
  readonly blobs: BlobStore;
  readonly metrics: Metrics;
  readonly webDir: string | undefined;
  /** Path of a demo participant's data by ordinal (from 1), when the demo is offered. */
  readonly demoData: (ordinal: number) => string | undefined;
  /** Whether a run shares this algorithm state with its participants now. */
  readonly sharesState: (sha256: string) => boolean;
  /** What an invitation leads to. Throws FlError. */
  readonly joinInfo: (token: string) => Promise<{ run: RunView; model: ModelRef }>;
  /** Whether the coordinator takes requests: false while it starts and while it drains. */
  readonly ready: () => boolean;
  readonly log: Log;
}

/** Routes, all of them; whatever is not listed is the web app (GET) or 404. */
export function createApp(services: HttpServices): Hono {
  const { rules, sessions, metrics, log } = services;
  const app = new Hono();
  app.use(securityHeaders);
  app.use(async (context, next) => {
    const headers = { host: context.req.header('Host'), origin: context.req.header('Origin') };
    if (!admits(rules, { headers })) {
      return context.json({ code: 'forbidden', message: 'this host or origin is not allowed here' }, 403);
    }
    return next();
  });
  app.onError((error, context) => {
    if (error instanceof HTTPException) return error.getResponse();
    // The pattern, not the path: a join link's path is a secret.
    log.error({ err: error, route: routePath(context, -1) }, 'request failed');
    return context.json({ code: 'internal', message: 'the coordinator failed; its log says why' }, 500);
  });

  app.get('/healthz', (context) => context.json({ ok: true }));
  app.get('/readyz', (context) => context.json({ ready: services.ready() }, services.ready() ? 200 : 503));
  app.get('/metrics', async (context) =>
    context.body(await metrics.registry.metrics(), 200, { 'Content-Type': metrics.registry.contentType }),
  );
  sessions.routes(app, (context) => getConnInfo(context).remote.address ?? 'unknown');
  app.get('/api/join/:token', (context) => joinInfo(context, services));
  app.get('/api/models/:modelId/:file', (context) => modelFile(context, services));
  app.get('/api/adapters/:sha256', (context) => adapter(context, services));
  app.get('/api/states/:sha256', (context) => algorithmState(context, services));
  app.get('/api/demo/data/:ordinal', (context) => demoData(context, services));
  app.all('/api/*', (context) => notFound(context));
  app.get('*', (context) => serveWebApp(context, services.webDir));
  app.all('*', (context) => notFound(context));
  return app;
}

const notFound = (context: Context) => context.json({ code: 'not-found', message: 'there is nothing here' }, 404);

async function joinInfo(context: Context, services: HttpServices): Promise<Response> {
  try {
    return context.json(await services.joinInfo(context.req.param('token') ?? ''));
  } catch (error) {
    if (!(error instanceof FlError)) throw error;
    const unknown = error.code === 'not-found' || error.message.startsWith('unknown');
    return context.json({ code: error.code, message: error.message }, unknown ? 404 : 410);
  }
}

/** The files that the manifest names, and itself. Below a versioned directory nothing ever changes. */
async function modelFile(context: Context, { models }: HttpServices): Promise<Response> {
  const files = await models.files(context.req.param('modelId') ?? '');
  if (!files) return notFound(context);
  const name = context.req.param('file') ?? '';
  const { dir, manifest, versioned } = files;
  const listed = [...manifest.shards, manifest.tokenizer].find((file) => file.file === name);
  if (!listed && name !== 'model.json') return notFound(context);
  const contentType = name.endsWith('.json') ? 'application/json' : 'application/octet-stream';
  const cacheControl = versioned ? IMMUTABLE : REVALIDATE;
  const options = { contentType, cacheControl, ...(listed && { etag: listed.sha256 }) };
  return (await sendFile(context, join(dir, name), options)) ?? notFound(context);
}

/** Global adapters only: participants' updates are not to be had from here. */
async function adapter(context: Context, { blobs }: HttpServices): Promise<Response> {
  const sha256 = context.req.param('sha256') ?? '';
  const found = await blobs.find('adapter', sha256);
  if (!found) return notFound(context);
  const options = { contentType: 'application/octet-stream', cacheControl: IMMUTABLE, etag: sha256 };
  return (await sendFile(context, found.path, options)) ?? notFound(context);
}

/**
 * What an algorithm shares with the participants of a run, while it is that run's current state. As with adapters, to know
 * the hash is to be allowed. States of algorithms that share nothing are not to be had from here.
 */
async function algorithmState(context: Context, { blobs, sharesState }: HttpServices): Promise<Response> {
  const sha256 = context.req.param('sha256') ?? '';
  const found = sharesState(sha256) ? await blobs.find('state', sha256) : undefined;
  if (!found) return notFound(context);
  // No cache may go on giving it out when it is no longer to be had.
  const options = { contentType: 'application/octet-stream', cacheControl: PRIVATE, etag: sha256 };
  return (await sendFile(context, found.path, options)) ?? notFound(context);
}

async function demoData(context: Context, services: HttpServices): Promise<Response> {
  const path = services.demoData(Number(context.req.param('ordinal')));
  if (path === undefined) return notFound(context);
  const options = { contentType: 'application/jsonl; charset=utf-8', cacheControl: REVALIDATE };
  return (await sendFile(context, path, options)) ?? notFound(context);
}
