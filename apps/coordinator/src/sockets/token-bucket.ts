/** Allows `ratePerSecond` on average and `burst` at once; time is an argument. */
export interface TokenBucket {
  /** Takes `cost` if there is that much; false leaves the bucket as it was. */
  take(nowMs: number, cost?: number): boolean;
}

export function createTokenBucket(ratePerSecond: number, burst: number): TokenBucket {
  let level = burst;
  let filledMs: number | undefined;
  return {
    take(nowMs, cost = 1) {
      level = Math.min(burst, level + (Math.max(0, nowMs - (filledMs ?? nowMs)) / 1000) * ratePerSecond);
      filledMs = nowMs;
      if (level < cost) return false;
      level -= cost;
      return true;
    },
  };
}
