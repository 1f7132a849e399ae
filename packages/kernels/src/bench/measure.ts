import type { Gpu } from '../gpu/device.ts';
import type { Program } from '../gpu/program.ts';
import { type BenchClock, type Elapsed, startClock } from './clock.ts';

/** A program to be timed, run so often in a row that one measurement is long enough to trust. */
export interface Timed {
  readonly program: Program;
  readonly runs: number;
}

/** Warms a program up and finds how many runs one measurement needs for `targetMs`. */
export async function prepareTimed(gpu: Gpu, program: Program, clock: BenchClock, targetMs: number): Promise<Timed> {
  await timeRuns(gpu, { program, runs: 1 }, clock); // compiles what the driver left for the first use
  const { wallMs } = await timeRuns(gpu, { program, runs: 1 }, clock);
  if (wallMs >= targetMs) return { program, runs: 1 };
  const few = Math.max(2, Math.min(16, Math.ceil(targetMs / Math.max(wallMs, 0.1))));
  const again = await timeRuns(gpu, { program, runs: few }, clock);
  return { program, runs: Math.max(1, Math.min(1000, Math.ceil((targetMs * few) / Math.max(again.wallMs, 0.1)))) };
}

/** Time of one run, as the mean over the runs of one measurement. */
export async function timeRuns(gpu: Gpu, { program, runs }: Timed, clock: BenchClock): Promise<Elapsed> {
  await gpu.idle();
  const elapsed = startClock(clock);
  for (let i = 0; i < runs; i++) program.run();
  await gpu.idle();
  const { wallMs, processorMs } = elapsed();
  return { wallMs: wallMs / runs, processorMs: processorMs === null ? null : processorMs / runs };
}

/**
 * Measures every case once a repeat, one after the other, so that whatever else the machine does meets all of them alike.
 * Returns the measurements of each case in the order of the repeats.
 */
export async function measureInterleaved(
  gpu: Gpu,
  cases: readonly Timed[],
  clock: BenchClock,
  repeats: number,
  onRepeat?: (done: number) => void,
): Promise<readonly (readonly Elapsed[])[]> {
  const measured: Elapsed[][] = cases.map(() => []);
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const [i, timed] of cases.entries()) measured[i]?.push(await timeRuns(gpu, timed, clock));
    onRepeat?.(repeat + 1);
  }
  return measured;
}
