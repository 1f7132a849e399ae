import type { AdapterKind, Gpu } from './device.ts';

// A GPU that computes for too long without a pause freezes the desktop, and systems reset it (Windows after 2 s). So no
// dispatch may pass 100 ms and no submit 400 ms. Aims are half of that: rates are means, and some kernels are slower.
export const DISPATCH_LIMIT_SECONDS = 0.1;
export const DISPATCH_AIM_SECONDS = 0.05;
export const SUBMIT_LIMIT_SECONDS = 0.4;
export const SUBMIT_AIM_SECONDS = 0.2;

/** What some commands have to do: arithmetic where the op states it, else the bytes of the buffers that it touches. */
export interface Work {
  readonly flops: number;
  readonly bytes: number;
  readonly commands: number;
}

/** How fast this adapter has been so far. Results never depend on it, only where work is cut. */
export interface Pace {
  /** Measured rate of work counted in arithmetic, FLOP/s. */
  readonly flopsPerSecond: number;
  /** Measured rate of work counted in bytes, bytes/s. */
  readonly bytesPerSecond: number;
  /** Grows when recorded programs should be recorded again, because their pieces no longer suit the measured rate. */
  readonly revision: number;
  /** Expected duration of some work. */
  seconds(work: Work): number;
  /** Takes a finished submit into account. */
  observe(work: Work, seconds: number): void;
  /** Rows of at most how many FLOPs one dispatch should take now; what was cut is remembered for `revision`. */
  pieceRows(rows: number, flopsPerRow: number): number;
}

/**
 * Rates before anything was measured: the slowest integrated GPUs, and well below what llvmpipe and SwiftShader reach on
 * two cores. Too low a start costs small pieces for a few steps; too high a start could cost the device.
 */
const START: Record<AdapterKind, { readonly flops: number; readonly bytes: number }> = {
  hardware: { flops: 0.2e12, bytes: 10e9 },
  llvmpipe: { flops: 8e9, bytes: 2e9 },
  swiftshader: { flops: 3e9, bytes: 1e9 },
};

/** Start of a command, whatever it does; without it, tiny models would make the adapter look slow. */
const COMMAND_SECONDS: Record<AdapterKind, number> = { hardware: 2e-5, llvmpipe: 1e-4, swiftshader: 1e-4 };
/** Shorter submits measure the queue's latency rather than the work. */
const SHORTEST_SECONDS = 0.005;
/** Share of a correction that one submit may make: a hiccup of the machine passes, a slow adapter is known after few. */
const CORRECTION = 0.5;
/** Pieces are cut anew when the adapter turned out this much faster than when they were cut. */
const FASTER = 4;
/** Submits in a row that must find a piece too long. */
const LATE_SUBMITS = 3;

export function createPace(kind: AdapterKind): Pace {
  let { flops: flopsPerSecond, bytes: bytesPerSecond } = START[kind];
  let revision = 0;
  let largestPieceFlops = 0;
  let cutAtRate = Number.POSITIVE_INFINITY;
  let late = 0;
  const startSeconds = COMMAND_SECONDS[kind];
  const reviseWhenUnfit = (): void => {
    late = largestPieceFlops / flopsPerSecond > DISPATCH_LIMIT_SECONDS ? late + 1 : 0;
    if (late < LATE_SUBMITS && flopsPerSecond < FASTER * cutAtRate) return;
    revision += 1;
    largestPieceFlops = 0;
    cutAtRate = Number.POSITIVE_INFINITY;
    late = 0;
  };
  return {
    get flopsPerSecond() {
      return flopsPerSecond;
    },
    get bytesPerSecond() {
      return bytesPerSecond;
    },
    get revision() {
      return revision;
    },
    seconds: ({ flops, bytes, commands }) => flops / flopsPerSecond + bytes / bytesPerSecond + commands * startSeconds,
    observe(work, measuredSeconds) {
      const starts = work.commands * startSeconds;
      const expected = work.flops / flopsPerSecond + work.bytes / bytesPerSecond;
      const measured = measuredSeconds - starts;
      if (Math.max(measured, expected) < SHORTEST_SECONDS || starts > expected) return;
      // Both rates move in the logarithm, each by its share of the expected time: matmuls do not slow down the copies.
      const error = Math.log(Math.max(measured, 1e-4) / expected) * CORRECTION;
      const flopsShare = work.flops / flopsPerSecond / expected;
      flopsPerSecond *= Math.exp(-error * flopsShare);
      bytesPerSecond *= Math.exp(-error * (1 - flopsShare));
      // Software adapters have no watchdog, and a busy machine would have them recorded over and over.
      if (kind === 'hardware') reviseWhenUnfit();
    },
    pieceRows(rows, flopsPerRow) {
      const rate = kind === 'hardware' ? flopsPerSecond : START[kind].flops;
      const wanted = Math.floor((DISPATCH_AIM_SECONDS * rate) / Math.max(1, flopsPerRow) / ROW_STEP) * ROW_STEP;
      const count = Math.min(rows, Math.max(ROW_STEP, wanted));
      // Pieces of the least size cannot be made smaller: recording them again would not help.
      if (count > ROW_STEP) largestPieceFlops = Math.max(largestPieceFlops, count * flopsPerRow);
      if (count < rows) cutAtRate = Math.min(cutAtRate, rate);
      return count;
    },
  };
}

/** Pieces start at multiples of this: every tile divides it, and 4-byte rows then start at multiples of 256 bytes. */
const ROW_STEP = 64;

/**
 * Cuts `rows` into pieces that each stay under the dispatch-time limit at the rate measured so far; pieces start at
 * multiples of 64 and are about equal. Results must not depend on the pieces: cut only along independent rows.
 */
export function rowPieces(
  gpu: Pick<Gpu, 'pace'>,
  rows: number,
  flopsPerRow: number,
): readonly { readonly start: number; readonly count: number }[] {
  const most = gpu.pace.pieceRows(rows, flopsPerRow);
  const pieces = Math.ceil(rows / most);
  if (pieces <= 1) return [{ start: 0, count: rows }];
  const step = Math.ceil(rows / pieces / ROW_STEP) * ROW_STEP;
  return Array.from({ length: Math.ceil(rows / step) }, (_, i) => ({
    start: i * step,
    count: Math.min(step, rows - i * step),
  }));
}
