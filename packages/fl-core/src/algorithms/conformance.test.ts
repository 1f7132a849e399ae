import { expect, it } from 'vitest';
import { describeLaws } from './laws.test-support.ts';
import { ALGORITHMS, algorithmSettings } from './registry.ts';

describeLaws(ALGORITHMS, ['fedavg', 'fedprox', 'scaffold', 'fedavgm', 'local']);

it('refuses an algorithm that is not in the registry', () => {
  expect(algorithmSettings.safeParse({ id: 'fednothing' }).success).toBe(false);
});
