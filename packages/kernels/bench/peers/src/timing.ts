/** Somebody who can do the same piece of work `times` times and says when it is done. */
export interface Runner {
  run(times: number): Promise<void>;
}

export interface TimingOptions {
  /** Rounds in which everybody is timed once. */
  readonly repeats: number;
  /** A timed burst repeats the work until it takes about so long, so that waiting for its end does not count. */
  readonly burstMs: number;
  readonly nowMs: () => number;
  /** CPU time that a software adapter has used so far; null where the work is not done by this machine's CPU. */
  readonly cpuMs: (() => Promise<number>) | null;
}

export interface Timing {
  /** Milliseconds of one piece of work, one sample a round, in the order of the rounds. */
  readonly samplesMs: readonly number[];
  readonly medianMs: number;
  /** The same in CPU time over all cores, which other programs on the machine hardly change; null without cpuMs, or where bursts are too short for its clock. */
  readonly cpuSamplesMs: readonly number[] | null;
  readonly cpuMedianMs: number | null;
  /** (largest − smallest) / median of the samples. */
  readonly spread: number;
  /** Pieces of work in one timed burst. */
  readonly burst: number;
}

const LONGEST_BURST = 200;
/** Linux counts CPU time in steps of 10 ms; shorter bursts are not worth reporting. */
const LEAST_CPU_MS = 50;

/**
 * Times all of them in turn, round after round, each round starting with another: what else the machine does hits them
 * alike, and a round's samples can be compared with each other. Everybody must have run before, and runs once more untimed.
 */
export async function timeInTurn(runners: readonly Runner[], options: TimingOptions): Promise<Timing[]> {
  const { repeats, burstMs, nowMs, cpuMs } = options;
  const timed = async (runner: Runner, times: number): Promise<Sample> => {
    const cpuStartMs = cpuMs ? await cpuMs() : 0;
    const startMs = nowMs();
    await runner.run(times);
    const ms = (nowMs() - startMs) / times;
    const burstCpuMs = cpuMs ? (await cpuMs()) - cpuStartMs : 0;
    return { ms, cpuMs: burstCpuMs >= LEAST_CPU_MS ? burstCpuMs / times : null };
  };
  const bursts: number[] = [];
  for (const runner of runners) {
    const { ms } = await timed(runner, 1);
    bursts.push(Math.max(1, Math.min(LONGEST_BURST, Math.round(burstMs / ms))));
  }
  const samples: Sample[][] = runners.map(() => []);
  for (let round = 0; round < repeats; round++) {
    for (let i = 0; i < runners.length; i++) {
      const who = (i + round) % runners.length;
      const runner = runners[who];
      if (runner) samples[who]?.push(await timed(runner, bursts[who] ?? 1));
    }
  }
  return samples.map((taken, i) => summarise(taken, bursts[i] ?? 1));
}

interface Sample {
  readonly ms: number;
  readonly cpuMs: number | null;
}

function summarise(samples: readonly Sample[], burst: number): Timing {
  const samplesMs = samples.map(({ ms }) => ms);
  const cpu = samples.flatMap(({ cpuMs }) => cpuMs ?? []);
  const cpuSamplesMs = cpu.length === samples.length ? cpu : null;
  const medianMs = median(samplesMs);
  return {
    samplesMs,
    medianMs,
    cpuSamplesMs,
    cpuMedianMs: cpuSamplesMs ? median(cpuSamplesMs) : null,
    spread: (Math.max(...samplesMs) - Math.min(...samplesMs)) / medianMs,
    burst,
  };
}

/** How many times as fast `ours` is as `theirs`: the median over the rounds of their time by ours. */
export function speedup(ours: Timing, theirs: Timing): number {
  return medianRatio(theirs.samplesMs, ours.samplesMs);
}

/** The same in CPU time; null where it was not measured. */
export function cpuSpeedup(ours: Timing, theirs: Timing): number | null {
  return ours.cpuSamplesMs && theirs.cpuSamplesMs ? medianRatio(theirs.cpuSamplesMs, ours.cpuSamplesMs) : null;
}

function medianRatio(numerators: readonly number[], denominators: readonly number[]): number {
  return median(denominators.map((denominator, round) => (numerators[round] ?? Number.NaN) / denominator));
}

/** NaN for no values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
