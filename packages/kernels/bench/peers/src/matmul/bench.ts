import type { MatmulEntry, MatmulReport, Ratio } from '../report.ts';
import { cpuSpeedup, speedup, type TimingOptions, timeInTurn } from '../timing.ts';
import { type Contestant, type Library, TOLERANCE } from './contestant.ts';
import { type Direction, type LinearShape, makeProduct, relativeError } from './product.ts';

/** The design's goal: so many times as fast as the best of the others on the same product. */
const GOAL = 1.5;

/** A library by name; the others are compared with ours. */
export interface Entrant {
  readonly name: string;
  readonly ours: boolean;
  readonly library: Library;
}

/**
 * Everybody's ways to compute one product: each is checked against float64 first, and whoever computes something else is
 * left out with the reason; then all are timed in turn.
 */
export async function benchMatmul(
  entrants: readonly Entrant[],
  shape: LinearShape,
  direction: Direction,
  timing: TimingOptions,
  say: (line: string) => void,
): Promise<MatmulReport> {
  const product = makeProduct(shape, direction);
  const ready: { entrant: Entrant; contestant: Contestant; error: number }[] = [];
  const excluded: { library: string; method: string; why: string }[] = [];
  for (const entrant of entrants) {
    for (const [i, make] of entrant.library.contestants(product).entries()) {
      let method = `method ${i + 1}`;
      try {
        const contestant = await make();
        method = contestant.method;
        await contestant.run(1);
        const error = relativeError(product, await contestant.result());
        if (!(error <= TOLERANCE[contestant.arithmetic])) {
          await contestant.destroy();
          throw new Error(`error ${error.toExponential(1)} over ${TOLERANCE[contestant.arithmetic]}`);
        }
        ready.push({ entrant, contestant, error });
      } catch (cause) {
        excluded.push({ library: entrant.name, method, why: firstLine(cause) });
      }
    }
  }
  say(`${direction} ${shape.rows}×${shape.inputs}×${shape.outputs}: timing ${ready.length} ways`);
  const timings = await timeInTurn(
    ready.map(({ contestant }) => contestant),
    timing,
  );
  const entries: MatmulEntry[] = [];
  for (const [i, { entrant, contestant, error }] of ready.entries()) {
    await contestant.destroy();
    const { method, arithmetic } = contestant;
    const timed = timings[i];
    if (!timed) continue;
    const gflops = product.flops / timed.medianMs / 1e6;
    entries.push({ library: entrant.name, ours: entrant.ours, method, arithmetic, gflops, error, timing: timed });
  }
  entries.sort((a, b) => b.gflops - a.gflops);
  return { shape, direction, entries, excluded, ratios: ratios(entries) };
}

function ratios(entries: readonly MatmulEntry[]): Ratio[] {
  const best = entries.find(({ ours }) => !ours);
  if (!best) return [];
  return entries
    .filter(({ ours }) => ours)
    .map(({ method, arithmetic, timing }) => ({
      ours: `${method}, ${arithmetic}`,
      theirs: `${best.library} ${best.method}, the best of the others`,
      speedup: speedup(timing, best.timing),
      cpuSpeedup: cpuSpeedup(timing, best.timing),
      goal: GOAL,
    }));
}

export function firstLine(cause: unknown): string {
  const [line = ''] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
  return line;
}
