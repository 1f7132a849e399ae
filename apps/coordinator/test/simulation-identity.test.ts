import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RoundEvent } from '@cotune/fl-core';
import { expect, test, vi } from 'vitest';
import { experimentIdentity } from '../src/simulation/experiment-record.ts';
import { openDatabase } from '../src/store/database.ts';
import { appendEvent, listRuns, readEvents } from '../src/store/runs.ts';
import { root, simulate as run } from './simulation.test-support.ts';

vi.setConfig({ testTimeout: 120_000 });

const TINY = { template: 'plain' as const, rounds: 1, steps: 1, batchSize: 2, maxSeqLength: 16, lora: { rank: 2 } };
const simulate = (out: string, config: Parameters<typeof run>[1], options: Parameters<typeof run>[2] = {}) =>
  run(out, { clients: 1, run: TINY, ...config }, options);
const file = (...path: string[]) => join(root, ...path);

test('results without their experiment.json are refused, and the message names what to remove', async () => {
  await simulate('orphans', {});
  rmSync(file('orphans', 'experiment.json'));
  await expect(simulate('orphans', { run: { ...TINY, steps: 2 } })).rejects.toThrow(
    `${file('orphans')} holds results (${file('orphans', 'fedavg-seed1')}) but no experiment.json that says of what: remove the whole of ${file('orphans')}, or choose another --out`,
  );
  expect(existsSync(file('orphans', 'experiment.json'))).toBe(false);
});

test('a folder that was begun before a setting came goes on as it was, where its default says what was done', async () => {
  const { record, results } = await simulate('older', {});
  const read = (...path: string[]) => JSON.parse(readFileSync(file('older', ...path), 'utf8'));
  const { optimizerState, ...older } = record.config.run;
  expect(optimizerState).toBe('fresh');
  const written = { ...read('experiment.json'), config: { ...read('experiment.json').config, run: older } };
  const identity = experimentIdentity(written);
  expect(identity).not.toBe(results[0]?.experiment_sha256);
  writeFileSync(file('older', 'experiment.json'), JSON.stringify(written));
  const result = { ...read('fedavg-seed1', 'result.json'), experiment_sha256: identity };
  writeFileSync(file('older', 'fedavg-seed1', 'result.json'), JSON.stringify(result));
  expect((await simulate('older', {})).results).toEqual([result]);
  const kept = { ...TINY, optimizerState: 'kept' as const };
  await expect(simulate('older', { run: kept })).rejects.toThrow(
    /another experiment \(configuration.run.optimizerState: /,
  );
});

test('a result of another experiment is not taken for this one’s', async () => {
  await simulate('result-a', {});
  await simulate('result-b', { run: { ...TINY, steps: 2 } }, { only: [] });
  cpSync(file('result-a', 'fedavg-seed1'), file('result-b', 'fedavg-seed1'), { recursive: true });
  await expect(simulate('result-b', { run: { ...TINY, steps: 2 } })).rejects.toThrow(
    `${file('result-b', 'fedavg-seed1')} is of another experiment: remove it`,
  );
});

test('neither is the state of a cell under way', async () => {
  const config = { run: { ...TINY, steps: 3 } };
  const stopAfterOne = () => {
    const abort = new AbortController();
    return {
      stop: abort.signal,
      onStep: (_: unknown, { lossNats }: { lossNats: number | null }) => lossNats !== null && abort.abort(),
    };
  };
  const stopped = await simulate('state-a', config, { ...stopAfterOne(), checkpointEveryMs: 0 });
  expect(stopped).toMatchObject({ stopped: true, left: ['fedavg-seed1'], failed: [] });
  const other = { run: { ...TINY, steps: 2 } };
  await simulate('state-b', other, { only: [] });
  cpSync(file('state-a', 'fedavg-seed1'), file('state-b', 'fedavg-seed1'), { recursive: true });
  await expect(simulate('state-b', other)).rejects.toThrow(/fedavg-seed1 is of another experiment: remove it/);

  // Even one that says that it is this one's.
  cpSync(file('state-b', 'fedavg-seed1', 'state'), file('kept'), { recursive: true });
  rmSync(file('state-b', 'fedavg-seed1'), { recursive: true });
  const begun = await simulate('state-b', other, { ...stopAfterOne(), checkpointEveryMs: 0 });
  expect(begun.stopped).toBe(true);
  const identity = readFileSync(file('state-b', 'fedavg-seed1', 'state', 'experiment.sha256'));
  rmSync(file('state-b', 'fedavg-seed1', 'state'), { recursive: true });
  cpSync(file('kept'), file('state-b', 'fedavg-seed1', 'state'), { recursive: true });
  writeFileSync(file('state-b', 'fedavg-seed1', 'state', 'experiment.sha256'), identity);
  await expect(simulate('state-b', other)).rejects.toThrow(/holds a run with other settings: remove it/);
});

test('a damaged record or result is named in a sentence', async () => {
  await simulate('damaged', {});
  const result = file('damaged', 'fedavg-seed1', 'result.json');
  const whole = readFileSync(result, 'utf8');
  writeFileSync(result, whole.slice(0, 40));
  await expect(simulate('damaged', {})).rejects.toThrow(`${result} is not JSON (`);
  writeFileSync(result, whole.replace('"seed": 1', '"seed": "one"'));
  await expect(simulate('damaged', {})).rejects.toThrow(
    `${result} is not what this version of cotune simulate writes: seed: `,
  );
  writeFileSync(result, whole);
  writeFileSync(file('damaged', 'experiment.json'), '{');
  await expect(simulate('damaged', {})).rejects.toThrow(`${file('damaged', 'experiment.json')} is not JSON (`);
});

test('only what a cell comes to by its settings fails a cell: a mistake of the program ends the command', async () => {
  const mistake = new TypeError('undefined is not a function');
  const onJob = () => Promise.reject(mistake);
  await expect(simulate('thrown', { baselines: ['pooled'] }, { onJob })).rejects.toBe(mistake);
});

test('a disk that fails a client ends the command, and the same command goes on to the same bits', async () => {
  const config = { algorithms: [{ id: 'scaffold' as const }], run: { ...TINY, rounds: 2 } };
  const whole = await simulate('disk-whole', config);
  // Once the client has trained, a file is where its directory is to be made.
  const blocked = file('disk', 'scaffold-seed1', 'state', 'clients', '0');
  const onStep = (_: unknown, { lossNats }: { lossNats: number | null }) => {
    if (lossNats === null) return;
    mkdirSync(join(blocked, '..'), { recursive: true });
    rmSync(blocked, { recursive: true, force: true });
    writeFileSync(blocked, '');
  };
  await expect(simulate('disk', config, { onStep })).rejects.toThrow(/EEXIST|ENOTDIR/);
  rmSync(blocked);
  const { results } = await simulate('disk', config);
  expect(results[0]?.adapter_sha256).toBe(whole.results[0]?.adapter_sha256);
});

test('a run that a full disk paused, or that could not start, is taken up by the same command', async () => {
  const config = { run: { ...TINY, rounds: 4 } };
  const whole = await simulate('paused-whole', config);
  const append = async (out: string, event: RoundEvent) => {
    const db = await openDatabase(file(out, 'fedavg-seed1', 'state'));
    const [stored] = await listRuns(db);
    if (!stored) throw new Error('expected a run');
    await appendEvent(db, stored.runId, (await readEvents(db, stored.runId)).length, event);
    await db.destroy();
  };
  const stopped = async (out: string, when: (step: { lossNats: number | null }) => boolean) => {
    const abort = new AbortController();
    const onStep = (_: unknown, step: { lossNats: number | null }) => when(step) && abort.abort();
    expect((await simulate(out, config, { stop: abort.signal, onStep })).stopped).toBe(true);
  };
  await stopped('paused', ({ lossNats }) => lossNats !== null);
  await append('paused', { type: 'paused', reason: 'no disk space is left', atMs: 1e9 });
  const paused = await simulate('paused', config);
  expect(paused.results[0]?.adapter_sha256).toBe(whole.results[0]?.adapter_sha256);

  await stopped('failed', ({ lossNats }) => lossNats !== null);
  await append('failed', { type: 'failed', reason: 'the run could not start', atMs: 1e9 });
  const failed = await simulate('failed', config);
  expect(failed.results[0]?.adapter_sha256).toBe(whole.results[0]?.adapter_sha256);
});

test('rows whose prompt is held out are not trained on, and the record and a notice say how many', async () => {
  const lines = (rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  const row = (i: number, response: string) => ({ instruction: `question ${i}`, output: response });
  writeFileSync(file('train.jsonl'), lines(Array.from({ length: 12 }, (_, i) => row(i % 6, `answer ${i}`))));
  writeFileSync(file('test.jsonl'), lines([row(0, 'another'), row(5, 'answer 5'), row(7, 'new')]));
  const notices: string[] = [];
  const data = { train: [{ from: 'train.jsonl' }], heldOut: { from: 'test.jsonl' } };
  const { record } = await simulate('overlap', { data }, { onNotice: (message) => notices.push(message) });
  expect(record).toMatchObject({ train_rows: 8, held_out_rows: 3, overlapping_rows: 4 });
  expect(notices).toContain('train.jsonl: 4 rows left out of training; their prompt is that of a held-out row');
});
