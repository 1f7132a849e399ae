/** Time as an argument, so that deadlines can be tested without waiting. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `fire` once at `atMs` or soon after; returns how to cancel it. */
  at(atMs: number, fire: () => void): () => void;
}

const LONGEST_TIMEOUT_MS = 2 ** 31 - 1; // Node fires longer ones at once

export const systemClock: Clock = {
  now: () => Date.now(),
  at(atMs, fire) {
    let handle: NodeJS.Timeout;
    const arm = () => {
      const delayMs = atMs - Date.now();
      handle =
        delayMs > LONGEST_TIMEOUT_MS ? setTimeout(arm, LONGEST_TIMEOUT_MS) : setTimeout(fire, Math.max(0, delayMs));
    };
    arm();
    return () => clearTimeout(handle);
  },
};
