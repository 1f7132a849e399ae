import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { cotune, newDirectory, until, useProcesses, writeTo } from './processes.ts';

useProcesses();
vi.setConfig({ testTimeout: 240_000 });

const CELL = 'scaffold-seed3'; // its clients and its server keep state between rounds
const KILLS = 4;

const CONFIG = {
  name: 'killed',
  model: 'demo',
  data: { train: [{ from: 'demo', maxRows: 30 }], heldOut: { from: 'demo-test', maxRows: 6 } },
  clients: 3,
  perRound: 2,
  run: {
    template: 'plain',
    rounds: 4,
    steps: 3,
    batchSize: 2,
    maxSeqLength: 32,
    learningRate: 1e-2,
    optimizerState: 'kept',
    lora: { rank: 4, alpha: 8, targets: ['q_proj', 'v_proj'] },
  },
  algorithms: [{ id: 'scaffold' }],
  seeds: [3],
};

const resultIn = (out: string) => {
  const { seconds: _seconds, ...result } = JSON.parse(readFileSync(join(out, CELL, 'result.json'), 'utf8'));
  return result as { adapter_sha256: string };
};

test('killed at any moment, the same command goes on to the same adapter and figures', async () => {
  const directory = newDirectory('kill');
  const config = writeTo(directory, 'config.json', JSON.stringify(CONFIG));
  const simulate = (out: string) => cotune(['simulate', config, '--out', join(directory, out)]);
  const whole = simulate('whole');
  expect(await whole.ended, whole.stderr()).toBe(0);

  const killed = join(directory, 'killed');
  for (let kill = 0; kill < KILLS; kill++) {
    const process = simulate('killed');
    await until(
      () => existsSync(join(killed, CELL, 'state', 'cotune.db')) || existsSync(join(killed, CELL, 'result.json')),
    );
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 1500));
    process.kill('SIGKILL');
    await process.ended;
  }
  const last = simulate('killed');
  expect(await last.ended, last.stderr()).toBe(0);
  expect(resultIn(killed)).toEqual(resultIn(join(directory, 'whole')));
  expect(existsSync(join(killed, CELL, 'state'))).toBe(false);
});

test('Ctrl-C stops after the step and says how to go on', async () => {
  const directory = newDirectory('interrupt');
  // So many rounds that it cannot have ended when the line is read: progress is told once a second at most.
  const config = writeTo(directory, 'config.json', JSON.stringify({ ...CONFIG, run: { ...CONFIG.run, rounds: 200 } }));
  const out = join(directory, 'out');
  const process = cotune(['simulate', config, '--out', out, '--json']);
  await until(() => /round \d+ of 200/.test(process.stderr()));
  process.kill('SIGINT');
  expect(await process.ended).toBe(130);
  expect(process.stderr()).toContain(`cotune simulate ${config} --out ${out} --resume`);
  expect(JSON.parse(process.stdout())).toMatchObject({ results: [], left: [CELL], failed: [] });
});

test('a mistake in the configuration is said by the name of the setting', async () => {
  const directory = newDirectory('mistake');
  for (const [change, message] of [
    [{ run: { ...CONFIG.run, step: 3 } }, 'there is no setting "run.step": check its spelling'],
    [{ perRound: 4 }, 'perRound: got 4, expected at most the 3 clients'],
    [{ algorithms: [{ id: 'local' }] }, 'algorithms.0.id: got local, which is a baseline'],
  ] as const) {
    const config = writeTo(directory, 'config.json', JSON.stringify({ ...CONFIG, ...change }));
    const process = cotune(['simulate', config, '--out', join(directory, 'out')]);
    expect(await process.ended).toBe(1);
    expect(process.stderr()).toContain(message);
  }
});

test('a simulation that diverged ends with 1, says why, and does so again', async () => {
  const directory = newDirectory('diverged');
  const run = { ...CONFIG.run, rounds: 1, steps: 1 };
  const diverging = { ...CONFIG, run, algorithms: [{ id: 'fedadam', hyper: { eta: 1e38, tau: 1e-30 } }] };
  const config = writeTo(directory, 'config.json', JSON.stringify(diverging));
  for (const _ of ['run', 'found done']) {
    const process = cotune(['simulate', config, '--out', join(directory, 'out'), '--json']);
    expect(await process.ended, process.stderr()).toBe(1);
    expect(process.stderr()).toContain('fedadam-seed3 diverged: 1 of 1 rounds kept the model');
    expect(JSON.parse(process.stdout())).toMatchObject({ diverged: ['fedadam-seed3'], failed: [], left: [] });
  }
});
