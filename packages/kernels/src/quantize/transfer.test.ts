import { expect, it } from 'vitest';
import { transferMeter } from './transfer.ts';

it('measures speed and time left, of what was moved and not of what was there', () => {
  let ms = 1000;
  const meter = transferMeter(1000, () => ms);
  expect(meter.update(400, 400)).toEqual({ doneBytes: 400, totalBytes: 1000, bytesPerSecond: 0, secondsLeft: null });
  ms += 2000;
  expect(meter.update(500, 400)).toMatchObject({ bytesPerSecond: 50, secondsLeft: 10 });
  ms += 2000;
  expect(meter.update(600, 400)).toMatchObject({ bytesPerSecond: 50, secondsLeft: 8 });
});

it('forgets the speed of long ago, and is done at the end', () => {
  let ms = 0;
  const meter = transferMeter(10_000, () => ms);
  let done = 0;
  const move = (bytes: number) => {
    ms += 1000;
    done += bytes;
    return meter.update(done);
  };
  for (let i = 0; i < 5; i++) move(1000);
  for (let i = 0; i < 20; i++) move(100);
  expect(move(100).bytesPerSecond).toBeCloseTo(100, 6);
  ms += 500;
  expect(meter.update(10_000).secondsLeft).toBe(0);
});
