import { type Ack, FlError } from '@cotune/fl-core';
import type { Socket } from 'socket.io';
import type { z } from 'zod';
import type { Log } from '../log.ts';
import { isStorageFull } from '../storage-full.ts';
import { createTokenBucket } from './token-bucket.ts';

/** One event: its payload's schema and what to do. `free` events (upload chunks) have their own byte budget instead. */
export interface EventHandler {
  readonly payload: z.ZodType;
  readonly free?: boolean;
  /** `binary` is the message's attachment, when there was one. The result becomes the acknowledgement's value. */
  readonly handle: (payload: never, binary: Uint8Array | undefined) => Promise<unknown>;
}

/** Ties a payload's type to its handler; the table forgets it again. */
export const on = <T>(
  payload: z.ZodType<T>,
  handle: (payload: T, binary: Uint8Array | undefined) => Promise<unknown>,
  options: { free?: boolean } = {},
): EventHandler => ({ payload, handle: handle as EventHandler['handle'], ...options });

const REFUSALS_BEFORE_DISCONNECT = 200;

/** What a failure looks like on the wire; unexpected ones are logged and reported without their insides. */
export function failure(error: unknown, log: Log, event: string): Ack<never> {
  if (error instanceof FlError) return { ok: false, code: error.code, message: error.message };
  log.error({ err: error, event }, 'handler failed');
  return isStorageFull(error)
    ? {
        ok: false,
        code: 'busy',
        message: 'the coordinator has no disk space left: its operator was told, try again later',
      }
    : { ok: false, code: 'internal', message: 'the coordinator failed to handle this; its log says why' };
}

/**
 * The only way from a socket to a handler: events outside the table are refused, every payload is parsed, control events
 * are rate-limited, and every failure is an acknowledgement with a code. A socket that keeps being refused is closed.
 */
export function guard(
  socket: Socket,
  table: Readonly<Record<string, EventHandler>>,
  options: { eventsPerSecond: number; now: () => number; log: Log },
): void {
  const { eventsPerSecond, now, log } = options;
  const bucket = createTokenBucket(eventsPerSecond, 3 * eventsPerSecond);
  let refusals = 0;

  const answer = async (event: string, args: readonly unknown[]): Promise<Ack<unknown>> => {
    const entry = Object.hasOwn(table, event) ? table[event] : undefined;
    if (!entry) throw new FlError('invalid', `unknown event "${event.slice(0, 40)}"`);
    if (!entry.free && !bucket.take(now())) {
      throw new FlError('busy', `more than ${eventsPerSecond} events a second: slow down and try again`);
    }
    const parsed = entry.payload.safeParse(args[0]);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new FlError('invalid', `${event}: ${issue?.path.join('.') || 'payload'}: ${issue?.message ?? 'malformed'}`);
    }
    const binary = args[1] instanceof Uint8Array ? args[1] : undefined;
    return { ok: true, value: await entry.handle(parsed.data as never, binary) };
  };

  socket.use(([event, ...args]) => {
    // `next` is not called: this is the handler, so that nothing outside the table can be reached.
    const last = args.at(-1);
    const reply = typeof last === 'function' ? (last as (ack: Ack<unknown>) => void) : undefined;
    answer(String(event), args)
      .catch((error: unknown) => {
        refusals++;
        return failure(error, log, String(event));
      })
      .then((ack) => {
        reply?.(ack);
        if (refusals > REFUSALS_BEFORE_DISCONNECT) socket.disconnect(true);
      });
  });
  socket.on('error', (error) => log.warn({ err: error }, 'socket error'));
}
