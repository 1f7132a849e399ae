import { z } from 'zod';

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);
const whole = z.coerce.number().int().positive();

/** Every environment variable that the coordinator reads; docs/configuration.md has the same rows. */
const environment = z.object({
  COTUNE_PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
  COTUNE_ALLOWED_ORIGINS: list.prefault(''),
  COTUNE_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  COTUNE_UPLOAD_TTL_MS: whole.default(3_600_000),
  COTUNE_MAX_OPEN_UPLOAD_BYTES: whole.default(64 * 2 ** 30),
  COTUNE_EVENTS_PER_SECOND: whole.default(20),
  COTUNE_LOGINS_PER_MINUTE: whole.default(5),
});

export const ENVIRONMENT_VARIABLES = Object.keys(environment.shape);

/** Settings that are the same for every run of this coordinator. */
export interface CoordinatorConfig {
  /** Address that people use, when a proxy stands in front; decides links, the Secure cookie and the allowed host. */
  readonly publicUrl: string | undefined;
  /** Further web origins that may open sockets, besides the coordinator's own. */
  readonly allowedOrigins: readonly string[];
  readonly logLevel: string;
  /** An upload without a new chunk for this long is dropped. */
  readonly uploadTtlMs: number;
  /** Bytes that all open uploads together may announce; more are told to wait. */
  readonly maxOpenUploadBytes: number;
  /** Control events a second that one socket may send (bursts of three seconds' worth). */
  readonly eventsPerSecond: number;
  readonly loginsPerMinute: number;
}

/** Reads and validates the environment. Throws an Error that names the variable and what it expects. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): CoordinatorConfig {
  const parsed = environment.safeParse(env);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const name = String(issue?.path[0]);
    throw new Error(`environment variable ${name}: got ${JSON.stringify(env[name])}: ${issue?.message ?? 'malformed'}`);
  }
  const e = parsed.data;
  return {
    publicUrl: e.COTUNE_PUBLIC_URL?.replace(/\/+$/, ''),
    allowedOrigins: e.COTUNE_ALLOWED_ORIGINS,
    logLevel: e.COTUNE_LOG_LEVEL,
    uploadTtlMs: e.COTUNE_UPLOAD_TTL_MS,
    maxOpenUploadBytes: e.COTUNE_MAX_OPEN_UPLOAD_BYTES,
    eventsPerSecond: e.COTUNE_EVENTS_PER_SECOND,
    loginsPerMinute: e.COTUNE_LOGINS_PER_MINUTE,
  };
}
