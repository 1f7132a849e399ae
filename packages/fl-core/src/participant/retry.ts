/** What retrying needs to know about the connection and the clock. */
export interface Patience {
  /** Aborted when the work is void. */
  readonly signal: AbortSignal;
  /** Resolves while connected, otherwise on reconnection. */
  online(): Promise<void>;
  delay(ms: number): Promise<void>;
}

/** 0.25 s, 0.5 s, 1 s … 10 s. */
export const backoffMs = (failures: number): number => Math.min(10_000, 250 * 2 ** Math.min(failures, 6));

/** Settles as `promise` does, but rejects at once with the signal's reason when it aborts. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Calls `action` while connected until it does not reject; a rejection means that nobody answered. */
export async function persistently<T>(patience: Patience, action: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; failures++) {
    await orAborted(patience.online(), patience.signal);
    try {
      return await orAborted(action(), patience.signal);
    } catch (error) {
      if (patience.signal.aborted) throw error;
      await orAborted(patience.delay(backoffMs(failures)), patience.signal);
    }
  }
}
