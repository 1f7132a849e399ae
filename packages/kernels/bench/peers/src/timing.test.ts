import { expect, it } from 'vitest';
import { cpuSpeedup, median, speedup, timeInTurn } from './timing.ts';

/** A clock that the work itself moves: `ms` a piece, on two cores; the machine slows down with every round. */
function machine() {
  let nowMs = 0;
  let cpuMs = 0;
  const log: string[] = [];
  const worker = (name: string, ms: number) => ({
    run: async (times: number) => {
      log.push(`${name}${times}`);
      nowMs += ms * times * (1 + log.length / 100);
      cpuMs += 2 * ms * times;
    },
  });
  return { worker, log, clocks: { nowMs: () => nowMs, cpuMs: async () => cpuMs } };
}

it('times everybody once a round, in turn, in bursts of about the same length', async () => {
  const { worker, log, clocks } = machine();
  const [fast, slow] = await timeInTurn([worker('a', 1), worker('b', 40)], { repeats: 3, burstMs: 10, ...clocks });
  expect(log).toEqual(['a1', 'b1', 'a10', 'b1', 'b1', 'a10', 'a10', 'b1']);
  expect([fast?.burst, slow?.burst]).toEqual([10, 1]);
  expect(fast?.samplesMs.map((ms) => Number(ms.toFixed(6)))).toEqual([1.03, 1.06, 1.07]);
  expect(fast?.medianMs).toBeCloseTo(1.06);
  expect(fast?.spread).toBeCloseTo(0.04 / 1.06);
  expect(slow?.cpuMedianMs).toBe(80);
});

it('compares samples of the same round', async () => {
  const { worker, clocks } = machine();
  const [ours, theirs] = await timeInTurn([worker('a', 30), worker('b', 90)], { repeats: 5, burstMs: 1, ...clocks });
  if (!ours || !theirs) throw new Error('expected two timings');
  expect(speedup(ours, theirs)).toBeCloseTo(3, 1);
  expect(cpuSpeedup(ours, theirs)).toBe(3);
});

it('does without CPU time where there is none', async () => {
  const { worker, clocks } = machine();
  const [only] = await timeInTurn([worker('a', 2)], { repeats: 2, burstMs: 1, ...clocks, cpuMs: null });
  if (!only) throw new Error('expected a timing');
  expect(only.cpuMedianMs).toBeNull();
  expect(cpuSpeedup(only, only)).toBeNull();
});

it('does without CPU time that its clock cannot show', async () => {
  const { worker, clocks } = machine();
  const runners = [worker('a', 20), worker('b', 30)];
  const [short, long] = await timeInTurn(runners, { repeats: 2, burstMs: 1, ...clocks });
  expect(short?.cpuMedianMs).toBeNull();
  expect(long?.cpuMedianMs).toBe(60);
});

it('takes medians', () => {
  expect(median([5, 1, 3])).toBe(3);
  expect(median([4, 1, 3, 10])).toBe(3.5);
  expect(median([])).toBeNaN();
});
