import type { IncomingMessage } from 'node:http';

export interface DoorRules {
  /** Host names (without port) that a request may address; undefined accepts any. Stops DNS rebinding on loopback. */
  readonly hosts: readonly string[] | undefined;
  /** Further origins that may open sockets or post. */
  readonly origins: readonly string[];
}

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];

/** Rules for a coordinator bound to `host` and known to people as `publicUrl`. */
export function doorRules(options: {
  host: string;
  publicUrl: string | undefined;
  allowedOrigins: readonly string[];
}): DoorRules {
  const { host, publicUrl, allowedOrigins } = options;
  const origins = publicUrl ? [...allowedOrigins, new URL(publicUrl).origin] : allowedOrigins;
  const loopback = LOOPBACK.includes(host) || host === '::1';
  if (publicUrl) return { hosts: [...LOOPBACK, new URL(publicUrl).hostname], origins };
  return { hosts: loopback ? LOOPBACK : undefined, origins };
}

/**
 * Whether a request may come in. Browsers always send Origin with a WebSocket or a POST: it must be this coordinator's own
 * or an allowed one. Programs send none. socket.io's own `cors` option does not stop a foreign WebSocket; this does.
 */
export function admits(rules: DoorRules, request: Pick<IncomingMessage, 'headers'>): boolean {
  const { host, origin } = request.headers;
  if (host === undefined || !hostAllowed(rules, host)) return false;
  if (origin === undefined) return true;
  if (rules.origins.includes(origin)) return true;
  try {
    return new URL(origin).host === host;
  } catch {
    return false; // 'null' and other opaque origins
  }
}

export function hostAllowed(rules: DoorRules, host: string): boolean {
  return rules.hosts === undefined || rules.hosts.includes(host.replace(/:\d+$/, '').toLowerCase());
}
