/** The clocks of a measurement; the caller's, since the engine runs in browsers too. */
export interface BenchClock {
  wallMs(): number;
  /**
   * Processor time of this process, where the adapter computes inside it (software Vulkan in Node): on a machine that does
   * other work as well it says more than the wall clock. null for hardware, whose work no process is charged for.
   */
  readonly processorMs: (() => number) | null;
  /** Processors that a software adapter computes on. */
  readonly processors: number;
}

/** What a piece of work took by both clocks. */
export interface Elapsed {
  readonly wallMs: number;
  readonly processorMs: number | null;
}

/** Starts a stopwatch; the function returned reads it. */
export function startClock(clock: BenchClock): () => Elapsed {
  const wall = clock.wallMs();
  const processor = clock.processorMs?.() ?? 0;
  return () => ({
    wallMs: clock.wallMs() - wall,
    processorMs: clock.processorMs ? clock.processorMs() - processor : null,
  });
}

/** Which clock the figures of a report come from. */
export type ClockUsed = 'wall' | 'processor';

/** Below this share of the processors, others computed meanwhile and the wall clock counts their work. */
const QUIET_SHARE = 0.9;

/** Share of the processors that the work got, over all measurements; 1 where no process is charged for it. */
export function processorShare(measured: readonly Elapsed[], processors: number): number {
  const charged = measured.filter((elapsed) => elapsed.processorMs !== null);
  if (charged.length === 0) return 1;
  const wall = charged.reduce((sum, { wallMs }) => sum + wallMs, 0);
  const processor = charged.reduce((sum, { processorMs }) => sum + (processorMs ?? 0), 0);
  return Math.min(1, processor / (wall * processors));
}

/** The wall clock on a quiet machine, else the processor time. */
export function clockToUse(share: number): ClockUsed {
  return share >= QUIET_SHARE ? 'wall' : 'processor';
}

/** Milliseconds by the clock used: processor time as if the processors had done nothing else. */
export function millisecondsBy(used: ClockUsed, { wallMs, processorMs }: Elapsed, processors: number): number {
  return used === 'processor' && processorMs !== null ? processorMs / processors : wallMs;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** (largest − smallest) / median of repeated measurements. */
export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / median(values);
}
