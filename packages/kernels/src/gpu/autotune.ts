// Chooses the fastest of several programs that do the same, by timing them side by side, and remembers the choice: a later
// run repeats it rather than measuring again, so that the same kernels, and with them the same bits, come out.
import type { Gpu } from './device.ts';
import type { Program } from './program.ts';

/** Where choices are kept between runs; values are JSON. A Map will do for one process. */
export interface TuningStore {
  get(key: string): unknown;
  set(key: string, value: unknown): unknown;
}

export interface TuneOptions {
  readonly store: TuningStore;
  /** Milliseconds; by default performance.now. */
  readonly nowMs?: () => number;
  /** Rounds in which every candidate runs once. Default 5. */
  readonly rounds?: number;
  /** Time that one sample should take; short ones measure the queue. Default 20. */
  readonly sampleMs?: number;
  /** Called after each candidate has run once, the default first: whether what it left is right. Who fails is never chosen. */
  readonly agrees?: () => Promise<boolean>;
}

/** A candidate's name, and the making of its program. */
export type Candidates<Name extends string> = Readonly<Record<Name, () => Promise<Program>>>;

/** A newcomer must be this much faster than the first candidate, the default: noise alone should not change kernels. */
const ADVANTAGE = 1.03;

/** Changes with the kernels: what was found of others says nothing. */
const KERNELS = 'kernels 2';

/** Which adapter, driver and browser a choice was measured on: one made on another says nothing here. */
export function tuningScope({
  adapter: { kind, vendor, architecture, device, description },
}: Pick<Gpu, 'adapter'>): string {
  const runtime = (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent ?? '';
  return [KERNELS, kind, vendor, architecture, device, description, runtime].join('|');
}

/** The name with the least median, in favour of the first. Samples are durations in any unit, one list a candidate. */
export function fastest<Name extends string>(samples: readonly (readonly [Name, readonly number[]])[]): Name {
  const [first, ...others] = samples.map(([name, durations]) => ({ name, duration: median(durations) }));
  if (!first) throw new RangeError('fastest: got no candidates, expected one or more');
  const best = others.reduce((a, b) => (b.duration < a.duration ? b : a), first);
  return best.duration * ADVANTAGE < first.duration ? best.name : first.name;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.POSITIVE_INFINITY;
}

/**
 * Runs the candidates in turns, several rounds of them, and returns the fastest of those that agree; the first is the
 * default. Each program must be a submit or more of real work.
 */
export async function measureFastest<Name extends string>(
  gpu: Gpu,
  candidates: Candidates<Name>,
  { nowMs = () => performance.now(), rounds = 5, sampleMs = 20, agrees }: Omit<TuneOptions, 'store'> = {},
): Promise<Name> {
  const runs: { name: Name; program: Program; replays: number; durations: number[] }[] = [];
  const sample = async (program: Program, replays: number): Promise<number> => {
    const start = nowMs();
    for (let i = 0; i < replays; i++) program.run();
    await gpu.idle();
    return (nowMs() - start) / replays;
  };
  try {
    for (const [name, make] of Object.entries(candidates) as [Name, () => Promise<Program>][]) {
      const program = await make();
      runs.push({ name, program, replays: 1, durations: [] });
    }
    const right: typeof runs = [];
    for (const run of runs) {
      await sample(run.program, 1); // drivers finish compiling at the first use
      if (!agrees || (await agrees())) right.push(run);
    }
    for (const run of right) {
      run.replays = Math.max(1, Math.min(100, Math.ceil(sampleMs / (await sample(run.program, 1)))));
    }
    for (let round = 0; round < rounds; round++) {
      for (const run of right) run.durations.push(await sample(run.program, run.replays));
    }
    return fastest(right.map(({ name, durations }) => [name, durations]));
  } finally {
    for (const { program } of runs) program.destroy();
  }
}

/** The remembered choice, if it is one of the candidates, else the measured one, which is then remembered. */
export async function tune<Name extends string>(
  gpu: Gpu,
  key: string,
  candidates: Candidates<Name>,
  { store, ...options }: TuneOptions,
): Promise<{ readonly name: Name; readonly from: 'store' | 'measured' }> {
  const fullKey = `${tuningScope(gpu)}|${key}`;
  const stored = await store.get(fullKey);
  if (typeof stored === 'string' && Object.hasOwn(candidates, stored)) return { name: stored as Name, from: 'store' };
  const name = await measureFastest(gpu, candidates, options);
  await store.set(fullKey, name);
  return { name, from: 'measured' };
}
