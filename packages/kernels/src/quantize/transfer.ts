/** How far a transfer of known size is, as a progress bar shows it. */
export interface Transfer {
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Over the last seconds; 0 until there is something to measure. */
  readonly bytesPerSecond: number;
  /** Null until the speed is known. */
  readonly secondsLeft: number | null;
}

export interface TransferMeter {
  /** Notes that `doneBytes` of the total are there, of which `cachedBytes` cost nothing and do not count as speed. */
  update(doneBytes: number, cachedBytes?: number): Transfer;
}

const WINDOW_MS = 10_000;
/** Samples closer together than this are one. */
const SAMPLE_MS = 100;

/** Measures speed and time left over a sliding window of ten seconds. `now` gives milliseconds. */
export function transferMeter(totalBytes: number, now: () => number = () => performance.now()): TransferMeter {
  const samples = [{ atMs: now(), bytes: 0 }];
  return {
    update(doneBytes, cachedBytes = 0) {
      const atMs = now();
      const bytes = doneBytes - cachedBytes;
      const last = samples.at(-1);
      if (last && atMs - last.atMs >= SAMPLE_MS) samples.push({ atMs, bytes });
      while (samples.length > 2 && atMs - (samples[1]?.atMs ?? atMs) >= WINDOW_MS) samples.shift();
      const first = samples[0];
      const seconds = first ? (atMs - first.atMs) / 1000 : 0;
      const bytesPerSecond = first && seconds >= SAMPLE_MS / 1000 ? Math.max(0, bytes - first.bytes) / seconds : 0;
      const leftBytes = Math.max(0, totalBytes - doneBytes);
      const secondsLeft = leftBytes === 0 ? 0 : bytesPerSecond > 0 ? leftBytes / bytesPerSecond : null;
      return { doneBytes, totalBytes, bytesPerSecond, secondsLeft };
    },
  };
}
