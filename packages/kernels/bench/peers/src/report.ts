import type { Arithmetic } from './matmul/contestant.ts';
import type { Direction, LinearShape } from './matmul/product.ts';
import type { Timing } from './timing.ts';

/** What one run of the benchmark found; `--json` writes it as it is. */
export interface Report {
  readonly environment: Environment;
  readonly matmuls: readonly MatmulReport[];
  readonly step: StepReport | null;
}

export interface Environment {
  readonly adapter: string;
  readonly browser: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly repeats: number;
}

export interface MatmulReport {
  readonly shape: LinearShape;
  readonly direction: Direction;
  /** Fastest first. */
  readonly entries: readonly MatmulEntry[];
  /** Those that could not be timed, or computed something else, and why. */
  readonly excluded: readonly { readonly library: string; readonly method: string; readonly why: string }[];
  /** Each of ours against the fastest of the others. */
  readonly ratios: readonly Ratio[];
}

export interface MatmulEntry {
  readonly library: string;
  readonly ours: boolean;
  readonly method: string;
  readonly arithmetic: Arithmetic;
  readonly gflops: number;
  /** Against float64, relative to the result's root mean square. */
  readonly error: number;
  readonly timing: Timing;
}

export interface Ratio {
  readonly ours: string;
  readonly theirs: string;
  /** How many times as fast as theirs ours is. */
  readonly speedup: number;
  /** The same in CPU time, on software adapters. */
  readonly cpuSpeedup: number | null;
  /** Least speedup that the design asks for; null where it asks for none. */
  readonly goal: number | null;
}

export interface StepReport {
  readonly what: string;
  readonly tokens: number;
  readonly entries: readonly StepEntry[];
  readonly excluded: readonly { readonly library: string; readonly why: string }[];
  /** Ours against each of the others, fastest first. */
  readonly ratios: readonly Ratio[];
}

export interface StepEntry {
  readonly library: string;
  readonly ours: boolean;
  /** Of the first steps from the same weights on the same data: the proof that it is the same work. */
  readonly lossesNats: readonly number[];
  readonly timing: Timing;
}
