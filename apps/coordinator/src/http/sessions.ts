import type { Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { parse, serialize } from 'hono/utils/cookie';
import { z } from 'zod';
import { createTokenBucket, type TokenBucket } from '../sockets/token-bucket.ts';
import { accountRole, createSession, endSession, SESSION_LIFETIME_MS, sessionRole } from '../store/accounts.ts';
import { appendAudit } from '../store/audit.ts';
import type { Db } from '../store/database.ts';
import type { Role } from '../store/schema.ts';

export interface Sessions {
  /** The role behind a Cookie header or an account token; undefined for neither. */
  authenticate(credentials: { cookie: string | undefined; token: string | undefined }): Promise<Role | undefined>;
  routes(app: Hono, addressOf: (context: Context) => string): void;
}

const login = z.object({ token: z.string().min(1).max(200) });
const MAX_THROTTLED_ADDRESSES = 10_000;

/** Admin sessions: a token once, then an HttpOnly cookie. `secure` = people reach the coordinator by https. */
export function createSessions(options: {
  db: Db;
  now: () => number;
  secure: boolean;
  loginsPerMinute: number;
}): Sessions {
  const { db, now, secure, loginsPerMinute } = options;
  // The __Host- prefix makes browsers insist on Secure, so it cannot be used on plain http.
  const cookieName = secure ? '__Host-cotune_session' : 'cotune_session';
  const buckets = new Map<string, TokenBucket>();

  const cookie = (value: string, maxAgeS: number) =>
    serialize(cookieName, value, { path: '/', httpOnly: true, sameSite: 'Strict', secure, maxAge: maxAgeS });
  const tokenOf = (header: string | undefined) =>
    header === undefined ? undefined : parse(header, cookieName)[cookieName];

  const mayTry = (address: string): boolean => {
    if (buckets.size > MAX_THROTTLED_ADDRESSES) buckets.clear();
    let bucket = buckets.get(address);
    if (!bucket) {
      bucket = createTokenBucket(loginsPerMinute / 60, loginsPerMinute);
      buckets.set(address, bucket);
    }
    return bucket.take(now());
  };

  const authenticate: Sessions['authenticate'] = async (credentials) => {
    if (credentials.token !== undefined) {
      const { token } = credentials;
      return token.startsWith('session_') ? sessionRole(db, token, now()) : accountRole(db, token);
    }
    const session = tokenOf(credentials.cookie);
    return session === undefined ? undefined : sessionRole(db, session, now());
  };

  return {
    authenticate,
    routes(app, addressOf) {
      app.post('/api/admin/login', bodyLimit({ maxSize: 4096 }), async (context) => {
        if (!mayTry(addressOf(context))) {
          const message = `more than ${loginsPerMinute} tries a minute: wait and try again`;
          return context.json({ code: 'busy', message }, 429, { 'Retry-After': '60' });
        }
        const body = login.safeParse(await context.req.json().catch(() => undefined));
        if (!body.success) return context.json({ code: 'invalid', message: 'expected {"token": "…"}' }, 400);
        const role = await accountRole(db, body.data.token);
        const actor = addressOf(context);
        await appendAudit(db, {
          atMs: now(),
          actor,
          action: role ? 'login' : 'login-refused',
          detail: { role: role ?? null },
        });
        if (!role) return context.json({ code: 'unauthorized', message: 'this token is not known here' }, 401);
        context.header('Set-Cookie', cookie(await createSession(db, role, now()), SESSION_LIFETIME_MS / 1000));
        return context.json({ role });
      });
      app.get('/api/admin/session', async (context) => {
        const role = await authenticate({ cookie: context.req.header('Cookie'), token: undefined });
        if (role) return context.json({ role });
        return context.json({ code: 'unauthorized', message: 'not logged in' }, 401);
      });
      app.post('/api/admin/logout', async (context) => {
        const session = tokenOf(context.req.header('Cookie'));
        if (session !== undefined) await endSession(db, session);
        context.header('Set-Cookie', cookie('', 0));
        return context.json({});
      });
    },
  };
}
