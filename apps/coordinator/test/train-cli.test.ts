import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { presetById } from '@cotune/fl-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TINY_CHAT_TEMPLATE, writeTinyModel } from './tiny-model.ts';

const cli = join(import.meta.dirname, '..', 'dist', 'cotune.js');
let temp = '';
let model = '';
let chatty = '';

beforeAll(async () => {
  if (!existsSync(cli)) throw new Error(`${cli} is missing: run npm run build first`);
  temp = mkdtempSync(join(tmpdir(), 'cotune-train-'));
  model = join(temp, 'model');
  await writeTinyModel(model);
  chatty = join(temp, 'chatty');
  await writeTinyModel(chatty, 'chatty', TINY_CHAT_TEMPLATE);
});
afterAll(() => rmSync(temp, { recursive: true, force: true }));

const command = (args: readonly string[]) => [
  cli,
  ...['train', '--model', model, '--template', 'plain', '--seq', '48', '--json'],
  ...args,
];
const env = () => ({ ...process.env, COTUNE_STATE_DIR: join(temp, 'state') });

function train(args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, command(args), { encoding: 'utf8', env: env() });
  const last = stdout.trim().split('\n').at(-1) ?? '';
  return { code: status, stderr, result: (last ? JSON.parse(last) : {}) as Record<string, number | string | null> };
}

function file(name: string, rows: readonly unknown[]): string {
  const path = join(temp, name);
  writeFileSync(path, rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n'));
  return path;
}

const logOf = (path: string) =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);

/** Answers "yes" are preferred to answers "no". */
const questions = ['Is it red?', 'Do fish swim?', 'Was it late?', 'Can you sing?'];
const transcript = (question: string, answer: string) => `\n\nHuman: ${question}\n\nAssistant: ${answer}`;

describe('cotune train --data', () => {
  const fast = ['--rank', '2', '--batch', '2', '--steps', '2'];

  it('reads the columns that --map names', () => {
    const data = file('odd.csv', ['"Was, bitte?",x=y,Datum', 'red? ,r,1', 'blue? ,b,2', 'green? ,,3']);
    expect(train(['--data', data, ...fast])).toMatchObject({ code: 1, result: {} });
    const { code, stderr, result } = train(['--data', data, '--map', 'prompt=Was, bitte?,response=x=y', ...fast]);
    expect(code, stderr).toBe(0);
    expect(result).toMatchObject({ steps: 2, examples: 2 });
    expect(stderr).toMatch(/odd\.csv:4: /);
    expect(train(['--data', data, '--map', 'prompt=Was', ...fast])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('expected prompt=COLUMN,response=COLUMN'),
    });
    const unknown = train(['--data', data, '--map', 'prompt=Wer,response=x=y', ...fast]);
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('odd.csv: has no column Wer') });
  });

  it('takes a preset that is already here, refuses one of the other task, and names them for one that there is not', () => {
    const kept = join(temp, 'state', 'datasets', 'gsm8k');
    mkdirSync(kept, { recursive: true });
    const rows = ['1 + 1?', '1 + 1?', '2 + 2?'].map((question) => JSON.stringify({ question, answer: '#### 2' }));
    const [parquet] = presetById('gsm8k')?.files ?? [];
    writeFileSync(join(kept, parquet?.path.replaceAll('/', '-') ?? ''), rows.join('\n'));
    const { code, stderr, result } = train(['--data', 'preset:gsm8k', ...fast]);
    expect(code, stderr).toBe(0);
    expect(result).toMatchObject({ examples: 3 }); // presets keep the rows that are the same
    const other = train(['--data', 'preset:gsm8k', '--task', 'dpo', ...fast]);
    expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining('is for the task sft') });
    const none = train(['--data', 'preset:gsm9k', ...fast]);
    expect(none).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no preset "gsm9k": expected one of alpaca'),
    });
  });

  it('puts rows as the chat template of the model does, and says so where it has none', () => {
    const data = file('colours.jsonl', [{ prompt: 'red? ', response: 'r' }]);
    const none = train(['--data', data, '--template', 'chat', ...fast]);
    expect(none).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('the model has no chat template of its own'),
    });
    const { code, stderr, result } = train(['--data', data, '--model', chatty, '--template', 'chat', ...fast]);
    expect(code, stderr).toBe(0);
    expect(result).toMatchObject({ steps: 2, examples: 1 });
  });
});

describe('cotune train --task dpo', () => {
  const fast = ['--task', 'dpo', '--beta', '0.5', '--lr', '0.02', '--rank', '4', '--batch', '4'];

  it('learns to prefer from transcripts and plain pairs, and logs margin and accuracy', () => {
    const data = file('pairs.jsonl', [
      ...questions.slice(0, 2).map((q) => ({ chosen: transcript(q, 'yes'), rejected: transcript(q, 'no') })),
      { chosen: 'nothing said', rejected: 'nor here' },
      ...questions.slice(2).map((prompt) => ({ prompt, chosen: 'yes', rejected: 'no' })),
    ]);
    const log = join(temp, 'dpo.jsonl');
    const out = join(temp, 'dpo');
    const { code, stderr, result } = train(['--data', data, ...fast, '--steps', '12', '--log', log, '--out', out]);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/pairs\.jsonl:3: is no transcript/);
    const rows = logOf(log);
    expect(rows).toHaveLength(12);
    for (const row of rows) {
      expect(Object.keys(row)).toEqual([
        'step',
        'loss',
        'grad_norm',
        'lr',
        'tokens',
        'ms',
        'reward_margin',
        'reward_accuracy',
      ]);
    }
    expect(rows[0]?.step).toBe(1);
    expect(rows[0]?.reward_margin).toBeCloseTo(0, 4); // a fresh adapter is the base model
    expect(rows[0]?.loss).toBeCloseTo(Math.LN2, 4);
    expect(rows.at(-1)?.reward_accuracy).toBe(1);
    expect(rows.at(-1)?.reward_margin).toBeGreaterThan(0.5);
    expect(result).toMatchObject({ steps: 12, examples: 4, reward_accuracy: 1, out });
    expect(result.tokens_per_second).toBeGreaterThan(0);
    expect(existsSync(join(out, 'adapter_model.safetensors'))).toBe(true);
  });

  it('takes pre-tokenised pairs and says what is wrong with bad ones', () => {
    const good = {
      chosen_input_ids: [1, 5, 6, 7],
      chosen_labels: [-100, -100, 6, 7],
      rejected_input_ids: [1, 5, 8],
      rejected_labels: [-100, -100, 8],
    };
    const tokens = file('pairs-tokens.jsonl', [
      good,
      { ...good, rejected_labels: [-100, 8] },
      { ...good, chosen_labels: [1, -100, -100, -100] },
      { input_ids: [1, 5], labels: [-100, 5] },
      'null',
      { ...good, chosen_input_ids: [1, 9, 6, 7] },
    ]);
    const { code, stderr, result } = train(['--tokens', tokens, ...fast, '--no-shuffle', '--steps', '2']);
    expect(code, stderr).toBe(0);
    expect(result).toMatchObject({ steps: 2, examples: 2 });
    expect(stderr).toMatch(/:2: 3 rejected_input_ids but 2 rejected_labels/);
    expect(stderr).toMatch(/:3: chosen_labels: no label/);
    expect(stderr).toMatch(/:4: chosen_input_ids: expected/);
    expect(stderr).toMatch(/:5: is not an object/);
  });

  it('gives the same bits for the same seed, and the same training packed, unpacked, and with layers recomputed', () => {
    const data = file(
      'seeds.jsonl',
      questions.map((prompt) => ({ prompt, chosen: 'yes', rejected: 'no' })),
    );
    const run = (name: string, ...more: string[]) => {
      const log = join(temp, `${name}.jsonl`);
      const args = ['--data', data, ...fast, '--steps', '3', '--log', log, '--out', join(temp, name), ...more];
      const { code, stderr } = train(args);
      expect(code, stderr).toBe(0);
      return { weights: readFileSync(join(temp, name, 'adapter_model.safetensors')), log: logOf(log) };
    };
    const one = run('one', '--seed', '5');
    expect(run('two', '--seed', '5').weights.equals(one.weights)).toBe(true);
    expect(run('three', '--seed', '6').weights.equals(one.weights)).toBe(false);
    const unpacked = run('four', '--seed', '5', '--no-pack', '--plan', 'b', '--attention', 'materialised');
    unpacked.log.forEach((row, i) => {
      expect(row.loss).toBeCloseTo(one.log[i]?.loss ?? Number.NaN, 4);
      expect(row.tokens).toBe(one.log[i]?.tokens);
    });
  });

  it.each(['f16', 'dp4a', 'dp4a8'])('trains in %s only after the first batch has passed against f32', (precision) => {
    const data = file(
      'precision.jsonl',
      questions.map((prompt) => ({ prompt, chosen: 'yes', rejected: 'no' })),
    );
    const args = ['--data', data, ...fast, '--steps', '2', '--precision', precision];
    const { code, stderr, result } = train(args);
    if (code === 0) {
      expect(stderr).toMatch(
        new RegExp(`precision ${precision}: loss within .* cosine of the gradients (0\\.999|1\\.0)`),
      );
      expect(result.steps).toBe(2);
    } else {
      expect(stderr).toMatch(new RegExp(`precision ${precision} does not keep .*: train in f32`));
    }
    if (precision !== 'dp4a8') expect(code, stderr).toBe(0);
  });

  it('leaves out or cuts what is longer than the model takes, before training', () => {
    const long = Array.from({ length: 65 }, (_, i) => 3 + i);
    const ids = [1, 5, 6];
    const tokens = file('long-tokens.jsonl', [
      { input_ids: ids, labels: ids },
      { input_ids: long, labels: long },
    ]);
    const rows = train(['--tokens', tokens, '--no-shuffle', '--batch', '1', '--steps', '2']);
    expect(rows.code, rows.stderr).toBe(0);
    expect(rows.result).toMatchObject({ steps: 2, examples: 1 });
    expect(rows.stderr).toMatch(/:2: 65 input_ids, the model takes 64/);
    const data = file('long.jsonl', [{ prompt: 'a', response: 'b'.repeat(200) }]);
    const cut = train(['--data', data, '--steps', '1', '--seq', '500']);
    expect(cut.code, cut.stderr).toBe(0);
    expect(cut.stderr).toMatch(/cut at 64 tokens/);
  });

  it('refuses what would mean nothing', () => {
    const data = file('sft.jsonl', [{ prompt: 'a', response: 'b' }]);
    expect(train(['--data', data, '--beta', '0.2'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--beta is of preference pairs: add --task dpo'),
    });
    const noPairs = train(['--data', data, '--task', 'dpo']);
    expect(noPairs.code).toBe(1);
    expect(noPairs.stderr).toMatch(/no usable preference pair in .*sft\.jsonl/);
    expect(train(['--data', data, '--plan', 'c']).code).toBe(2);
    expect(train(['--data', data, '--task', 'dpo', '--beta', '0']).code).toBe(2);
  });
});

describe('cotune train --out', () => {
  const row = file.bind(null, 'out.jsonl', [{ prompt: 'a', response: 'b' }]);

  it('says before training that the result could not be written', () => {
    const inTheWay = file('in-the-way', ['']);
    const { code, stderr, result } = train(['--data', row(), '--steps', '1', '--out', join(inTheWay, 'adapter')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^cotune: cannot write to .*in-the-way/m);
    expect(stderr).not.toContain('Warning'); // no GPU was opened
    expect(result).toEqual({});
  });

  it('names the step that diverged as the log counts it, and leaves no checkpoint in the way of a lower rate', () => {
    const out = join(temp, 'diverged');
    const log = join(temp, 'diverged.jsonl');
    const args = ['--data', row(), '--lr', '1e30', '--steps', '9', '--batch', '1', '--out', out, '--log', log];
    const { code, stderr } = train(args);
    expect(code).toBe(1);
    expect(stderr).toContain(`cotune: step ${logOf(log).length + 1}: `);
    expect(existsSync(join(out, 'checkpoint'))).toBe(false);
  });

  it('stops by Ctrl-C with 130, keeps its checkpoint from other work, and goes on to other numbers of steps', async () => {
    const other = join(temp, 'other-model');
    const out = join(temp, 'changed');
    const checkpoint = join(out, 'checkpoint');
    const log = join(temp, 'changed.jsonl');
    const args = ['--data', row(), '--batch', '1', '--out', out, '--model', other, '--log', log, '--steps'];
    await writeTinyModel(other);
    const stopped = spawn(process.execPath, command([...args, '100000']), { env: env() });
    let stdout = '';
    stopped.stdout.on('data', (data) => {
      stdout += data;
    });
    const ended = new Promise((resolve) => stopped.once('close', resolve));
    while (!existsSync(checkpoint)) await new Promise((resolve) => setTimeout(resolve, 5));
    stopped.kill('SIGINT');
    expect(await ended).toBe(130);
    const { steps, ...rest } = JSON.parse(stdout) as { steps: number };
    expect(steps).toBeGreaterThan(0);
    expect(rest).toMatchObject({ stopped: true, out });

    const kept = readFileSync(checkpoint);
    await writeTinyModel(other, 'other-weights');
    const refused = train([...args, '100000']);
    expect(refused).toMatchObject({ code: 1, result: {} });
    expect(refused.stderr).toMatch(
      new RegExp(`^cotune: .*changed holds the checkpoint of .* after ${steps} steps`, 'm'),
    );
    expect(readFileSync(checkpoint).equals(kept)).toBe(true);
    expect(logOf(log)).toHaveLength(steps);

    await writeTinyModel(other);
    const { code, stderr, result } = train([...args, String(steps + 2)]);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(`going on after step ${steps}, from the checkpoint`);
    expect(result).toMatchObject({ steps: steps + 2, stopped: false });
    expect(logOf(log)).toHaveLength(steps + 2);
    expect(existsSync(checkpoint)).toBe(false);
  });
});

describe('cotune train, killed', () => {
  it('goes on from its checkpoint with the same command, to the bits of an undisturbed run', async () => {
    const data = file(
      'kill.jsonl',
      questions.map((prompt) => ({ prompt, response: 'yes, it is so' })),
    );
    const args = ['--data', data, '--steps', '40', '--batch', '4', '--lr', '0.01', '--dropout', '0.1'];
    const whole = train([...args, '--out', join(temp, 'whole')]);
    expect(whole.code, whole.stderr).toBe(0);

    const out = join(temp, 'killed');
    const killed = spawn(process.execPath, command([...args, '--out', out]), { env: env(), stdio: 'ignore' });
    const ended = new Promise((resolve) => killed.once('exit', (_code, signal) => resolve(signal)));
    while (!existsSync(join(out, 'checkpoint'))) await new Promise((resolve) => setTimeout(resolve, 5));
    killed.kill('SIGKILL');
    expect(await ended).toBe('SIGKILL');
    expect(existsSync(join(out, 'adapter_model.safetensors'))).toBe(false);

    const log = join(temp, 'again.jsonl');
    const again = train([...args, '--out', out, '--log', log]);
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toMatch(/going on after step [1-9]\d*, from the checkpoint in/);
    expect(logOf(log).map(({ step }) => step)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    expect(again.result).toMatchObject({
      steps: 40,
      loss_first: whole.result.loss_first,
      loss_last: whole.result.loss_last,
    });
    const weights = (directory: string) => readFileSync(join(temp, directory, 'adapter_model.safetensors'));
    expect(weights('killed').equals(weights('whole'))).toBe(true);
    expect(existsSync(join(out, 'checkpoint'))).toBe(false); // the result is safe
  });
});
