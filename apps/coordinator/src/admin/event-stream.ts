import type { AdminEvent } from '@cotune/fl-core';

type Distribute<T> = T extends unknown ? Omit<T, 'seq' | 'atMs'> : never;
/** An event before it is numbered. */
export type AdminEventBody = Distribute<AdminEvent>;

/** The numbered stream that admin sockets follow; the last `capacity` events can be replayed. */
export interface EventStream {
  push(body: AdminEventBody): void;
  /** Number that the next event will get. */
  nextSeq(): number;
  /** Events from `fromSeq` on, or null when some of them are gone from memory (the caller sends the current state instead). */
  replay(fromSeq: number): readonly AdminEvent[] | null;
  subscribe(listener: (event: AdminEvent) => void): () => void;
}

/**
 * Numbers come in blocks that `reserve` makes durable before they are used, so that they grow across restarts.
 * The next block is reserved while the current one still has room.
 */
export async function createEventStream(options: {
  reserve: () => Promise<{ first: number; end: number }>;
  now: () => number;
  capacity?: number;
  onError: (error: unknown) => void;
}): Promise<EventStream> {
  const { reserve, now, capacity = 5000, onError } = options;
  let { first: next, end } = await reserve();
  let reserving = false;
  const kept: AdminEvent[] = [];
  const listeners = new Set<(event: AdminEvent) => void>();

  const extend = () => {
    if (reserving) return;
    reserving = true;
    reserve()
      .then((block) => {
        end = block.end;
      }, onError)
      .finally(() => {
        reserving = false;
      });
  };

  return {
    push(body) {
      const event = { ...body, seq: next++, atMs: now() } as AdminEvent;
      if (end - next < 5000) extend();
      kept.push(event);
      if (kept.length > capacity) kept.splice(0, kept.length - capacity);
      for (const listener of listeners) listener(event);
    },
    nextSeq: () => next,
    replay(fromSeq) {
      if (fromSeq > next) return null;
      const oldest = kept[0]?.seq ?? next;
      return fromSeq < oldest ? null : kept.filter((event) => event.seq >= fromSeq);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
