import { expect, it } from 'vitest';
import { createLossHistory } from './loss-history.ts';

it('smooths without a bias towards zero', () => {
  const history = createLossHistory((run) => run());
  for (const [index, lossNats] of [3, 1, 2].entries()) history.push({ index, round: 0, lossNats });
  const [steps, losses, smooth] = history.columns(0.5);
  expect(steps).toEqual([1, 2, 3]);
  expect(losses).toEqual([3, 1, 2]);
  // Weights 1/2, 1/4, 1/8 from the newest, normalised.
  expect(smooth[0]).toBeCloseTo(3, 12);
  expect(smooth[1]).toBeCloseTo((0.5 * 1 + 0.25 * 3) / 0.75, 12);
  expect(smooth[2]).toBeCloseTo((0.5 * 2 + 0.25 * 1 + 0.125 * 3) / 0.875, 12);
});

it('replaces the points of a round that is trained again', () => {
  const history = createLossHistory((run) => run());
  for (let index = 0; index < 5; index++) history.push({ index, round: 0, lossNats: 9 });
  history.push({ index: 2, round: 0, lossNats: 7 });
  expect(history.columns(0)[0]).toEqual([1, 2, 3]);
  expect(history.columns(0)[1]).toEqual([9, 9, 7]);
});

it('gives the rewards of steps on pairs, and nothing where there are none', () => {
  const history = createLossHistory((run) => run());
  history.push({ index: 0, round: 0, lossNats: 1 });
  expect(history.rewardColumns(0.5)).toEqual([[], [], [], []]);
  history.push({ index: 1, round: 0, lossNats: 1, rewards: { accuracy: 1, margin: 0.5 } });
  history.push({ index: 2, round: 0, lossNats: 1, rewards: { accuracy: 0.25, margin: -1 } });
  const [steps, margins, smoothMargins, smoothAccuracies] = history.rewardColumns(0.5);
  expect([steps, margins]).toEqual([
    [2, 3],
    [0.5, -1],
  ]);
  expect(smoothMargins[1]).toBeCloseTo((0.5 * -1 + 0.25 * 0.5) / 0.75, 12);
  expect(smoothAccuracies[1]).toBeCloseTo((0.5 * 0.25 + 0.25 * 1) / 0.75, 12);
});

it('tells listeners once per frame, and not after they left', () => {
  const frames: (() => void)[] = [];
  const history = createLossHistory((run) => frames.push(run));
  let calls = 0;
  const leave = history.subscribe(() => calls++);
  history.push({ index: 0, round: 0, lossNats: 1 });
  history.push({ index: 1, round: 0, lossNats: 1 });
  expect(frames).toHaveLength(1);
  frames.shift()?.();
  expect(calls).toBe(1);
  leave();
  history.push({ index: 2, round: 0, lossNats: 1 });
  frames.shift()?.();
  expect(calls).toBe(1);
});
