import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const packageDir = join(import.meta.dirname, '..');
const cli = join(packageDir, 'dist', 'cotune.js');
const demoModel = join(packageDir, 'demo', 'model');
const demoShard = join(packageDir, 'demo', 'data', 'participant-1.jsonl');
let temp = '';

beforeAll(() => {
  if (!existsSync(cli)) throw new Error(`${cli} is missing: run npm run build first`);
  temp = mkdtempSync(join(tmpdir(), 'cotune-cli-'));
});
afterAll(() => rmSync(temp, { recursive: true, force: true }));

function cotune(args: readonly string[], env: Record<string, string> = {}) {
  const result = spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', env: { ...process.env, ...env } });
  const errors = result.stderr.split('\n').filter((line) => line.startsWith('cotune: '));
  return { code: result.status, stdout: result.stdout, stderr: result.stderr, errors };
}

/** The last line of stdout as JSON. */
function json(stdout: string): Record<string, unknown> {
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, unknown>;
}

/** A checkpoint of the demo model's geometry in Hugging Face form is not needed: a config alone shows what is refused. */
function huggingFaceDir(name: string, config: object): string {
  const dir = join(temp, name);
  cpSync(demoModel, dir, { recursive: true });
  rmSync(join(dir, 'model.json'));
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  return dir;
}

function file(name: string, content: string): string {
  const path = join(temp, name);
  writeFileSync(path, content);
  return path;
}

const train = (...more: string[]) => ['train', '--model', demoModel, '--template', 'plain', '--seq', '32', ...more];

const runFile =
  '{"name": "n", "modelId": "demo", "algorithm": {"id": "fedavg"}, "lora": {"rank": 4}, "participants": {}}';
const serve = (...more: string[]) => ['serve', '--demo', '--port', '0', '--data-dir', join(temp, 'served'), ...more];

describe('cotune', () => {
  it('generates the same text for the same seed and stops at the token budget', () => {
    const args = [
      'generate',
      '--model',
      demoModel,
      '--prompt',
      'Shares of',
      '--temperature',
      '0.8',
      '--max-tokens',
      '5',
    ];
    const first = json(cotune([...args, '--seed', '3', '--json']).stdout);
    const again = json(cotune([...args, '--seed', '3', '--json']).stdout);
    expect(again).toEqual(first);
    expect(first.prompt).toBe('Shares of');
    expect((first.token_ids as number[]).length).toBeLessThanOrEqual(5);
    expect(first.text).not.toBe('');
  });

  it('trains, writes a PEFT directory and a log, and generates with the adapter', () => {
    const out = join(temp, 'adapter');
    const log = join(temp, 'train.jsonl');
    const args = train(
      '--data',
      demoShard,
      '--steps',
      '6',
      '--lr',
      '0.01',
      '--targets',
      'q,v,up',
      '--log',
      log,
      '--out',
      out,
    );
    const result = cotune([...args, '--json']);
    expect(result.code, result.stderr).toBe(0);
    const summary = json(result.stdout);
    expect(summary.loss_last as number).toBeLessThan(summary.loss_first as number);
    const rows = readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, number>);
    expect(rows.map((row) => row.step)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const row of rows) expect(Object.keys(row)).toEqual(['step', 'loss', 'grad_norm', 'lr', 'tokens', 'ms']);

    const prompt = ['--prompt', 'Wesvia opens a plant. Sentiment:', '--max-tokens', '1', '--json'];
    const base = json(cotune(['generate', '--model', demoModel, ...prompt]).stdout);
    const tuned = json(cotune(['generate', '--model', demoModel, '--adapter', out, ...prompt]).stdout);
    expect(['positive', 'negative', 'neutral']).toContain((tuned.text as string).trim());
    expect(tuned.token_ids).not.toEqual(base.token_ids);

    // A shape given beside the adapter has to be the adapter's own.
    const further = train('--data', demoShard, '--steps', '1', '--adapter', out, '--rank', '8', '--targets');
    const other = cotune([...further, 'q,v']);
    expect(other.code).toBe(2);
    expect(other.stderr).toContain('--targets: got q_proj,v_proj, but');
    expect(other.stderr).toContain('has q_proj,up_proj,v_proj; leave --targets out');
    const same = cotune([...further, 'v,q,up']);
    expect(same.code, same.stderr).toBe(0);

    const copied = join(temp, 'exported');
    expect(cotune(['export', '--model', demoModel, '--adapter', out, '--out', copied]).code).toBe(0);
    const weights = 'adapter_model.safetensors';
    expect(readFileSync(join(copied, weights)).equals(readFileSync(join(out, weights)))).toBe(true);
    expect(json(cotune(['inspect', copied, '--model', demoModel, '--json']).stdout)).toMatchObject({
      kind: 'adapter',
      rank: 8,
    });
  });

  it('takes pre-tokenised rows in file order and lists the bad ones', () => {
    const tokens = file(
      'tokens.jsonl',
      [
        '{"input_ids": [1, 5, 6, 7], "labels": [-100, -100, 6, 7]}',
        '{"input_ids": [1, 5], "labels": [1]}',
        '{"input_ids": [1, 99999], "labels": [-100, 3]}',
        'not json',
        '{"input_ids": [1, 9, 8], "labels": [-100, 9, 8]}',
      ].join('\n'),
    );
    const result = cotune(train('--tokens', tokens, '--no-shuffle', '--steps', '2', '--batch', '2', '--json'));
    expect(result.code, result.stderr).toBe(0);
    expect(json(result.stdout)).toMatchObject({ steps: 2, examples: 2 });
    for (const line of [2, 3, 4]) expect(result.stderr).toContain(`tokens.jsonl:${line}:`);
  });

  it('lists malformed rows of a data file and trains on the rest', () => {
    const data = file('mixed.jsonl', '{"prompt": "a b", "response": "c"}\n{"prompt": \n{"nothing": 1}\n');
    const result = cotune(train('--data', data, '--steps', '1', '--batch', '1', '--json'));
    expect(result.code, result.stderr).toBe(0);
    expect(result.stderr).toMatch(/2 rows rejected/);
    expect(result.stderr).toMatch(/mixed\.jsonl:2:/);
    expect(json(cotune(['inspect', data, '--json']).stdout)).toMatchObject({ kind: 'data', rows: 1, rejected: 2 });
  });

  it('says what a model directory holds and that its hashes fit', () => {
    expect(json(cotune(['inspect', demoModel, '--json']).stdout)).toMatchObject({
      kind: 'model-directory',
      dtype: 'int8',
    });
  });

  it('lists the adapters of this machine', () => {
    const result = cotune(['adapters', '--json']);
    expect(result.code).toBe(0);
    expect((json(result.stdout).adapters as unknown[]).length).toBeGreaterThan(0);
  });
});

describe('bad input is one sentence on stderr and exit 1', () => {
  const llama = {
    architectures: ['LlamaForCausalLM'],
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    rms_norm_eps: 1e-5,
  };
  const cases: Record<string, () => { args: string[]; env?: Record<string, string>; says: RegExp }> = {
    'missing model': () => ({
      args: ['generate', '--model', join(temp, 'nowhere'), '--prompt', 'x'],
      says: /no such directory: .*nowhere/,
    }),
    'missing data file': () => ({
      args: train('--data', join(temp, 'gone.jsonl')),
      says: /no such data file: .*gone/,
    }),
    'empty data': () => ({ args: train('--data', file('empty.jsonl', '')), says: /empty/ }),
    'no usable row': () => ({
      args: train('--data', file('useless.jsonl', '{"a": 1}\n')),
      says: /no usable training row/,
    }),
    'a device for a data file': () => ({ args: train('--data', '/dev/null'), says: /\/dev\/null is no regular file/ }),
    'a directory for a data file': () => ({
      args: train('--data', temp),
      says: /is a directory, expected a data file/,
    }),
    'unsupported architecture': () => ({
      args: [
        'quantize',
        '--from',
        huggingFaceDir('gpt', { ...llama, architectures: ['GPT2LMHeadModel'] }),
        '--out',
        join(temp, 'o1'),
      ],
      says: /architectures: got GPT2LMHeadModel, expected LlamaForCausalLM/,
    }),
    'truncated safetensors': () => {
      const dir = huggingFaceDir('short', llama);
      const header = JSON.stringify({ 'model.norm.weight': { dtype: 'F32', shape: [32], data_offsets: [0, 128] } });
      const bytes = Buffer.alloc(8 + header.length + 128);
      bytes.writeBigUInt64LE(BigInt(header.length));
      bytes.write(header, 8);
      writeFileSync(join(dir, 'model.safetensors'), bytes.subarray(0, bytes.length - 64));
      return { args: ['quantize', '--from', dir, '--out', join(temp, 'o2')], says: /model\.safetensors: / };
    },
    'damaged shard': () => {
      const dir = join(temp, 'damaged');
      cpSync(demoModel, dir, { recursive: true });
      truncateSync(join(dir, 'shard-00000.bin'), 1000);
      return { args: ['generate', '--model', dir, '--prompt', 'x'], says: /shard-00000\.bin/ };
    },
    'wrong tokenizer': () => {
      const dir = join(temp, 'wrong-tokenizer');
      cpSync(demoModel, dir, { recursive: true });
      const path = join(dir, 'tokenizer.json');
      const tokenizer = JSON.parse(readFileSync(path, 'utf8')) as { model: { vocab: Record<string, number> } };
      for (let id = 1024; id < 1100; id++) tokenizer.model.vocab[`extra${id}`] = id;
      writeFileSync(path, JSON.stringify(tokenizer));
      return { args: ['generate', '--model', dir, '--prompt', 'x'], says: /tokenizer/ };
    },
    'output that is there already': () => ({
      args: ['quantize', '--from', demoModel, '--out', demoModel],
      says: /already holds a model directory/,
    }),
    'no coordinator': () => ({
      args: ['join', 'http://127.0.0.1:9/join/abc', '--data', demoShard],
      says: /cannot reach the coordinator at http:\/\/127\.0\.0\.1:9/,
    }),
    'not a join link': () => ({ args: ['join', 'localhost', '--data', demoShard], says: /expected a join link/ }),
    'a run file with a setting that does not exist': () => ({
      args: serve('--run', file('typo.json', runFile.replace('"rank"', '"ranks"'))),
      says: /typo\.json: there is no setting "lora\.ranks"/,
    }),
    'a run file with a wrong value': () => ({
      args: serve('--run', file('wrong.json', runFile.replace('"fedavg"', '"fedfoo"'))),
      says: /wrong\.json: algorithm/,
    }),
    'no run file': () => ({ args: serve('--run', join(temp, 'none.json')), says: /no such file or directory/ }),
    'held-out data without a usable row': () => ({
      args: serve('--evaluation', file('held-out.jsonl', '{"instruction": "only"}\n')),
      says: /no usable row or preference pair to evaluate on in .*held-out\.jsonl/,
    }),
    'two held-out files of one name': () => ({
      args: serve('--evaluation', file('held.jsonl', ''), '--evaluation', file('held.csv', '')),
      says: /held\.csv would have the id "held", as has .*held\.jsonl: rename one of them/,
    }),
    'a data directory where nothing can be made': () => ({
      args: serve('--data-dir', '/proc/cotune/data'),
      says: /cannot write to \/proc\/cotune\/data: /,
    }),
    'a damaged database': () => {
      mkdirSync(join(temp, 'damaged-data'));
      file('damaged-data/cotune.db', 'these bytes are no database'.repeat(200));
      return { args: serve('--data-dir', join(temp, 'damaged-data')), says: /cotune\.db is damaged .*backup/ };
    },
    'a file for a data directory': () => ({
      args: serve('--data-dir', file('a-file', 'x')),
      says: /a-file is not a directory/,
    }),
    'no WebGPU adapter': () => ({
      args: ['generate', '--model', demoModel, '--prompt', 'x'],
      env: { VK_ICD_FILENAMES: '/nonexistent.json', VK_DRIVER_FILES: '/nonexistent.json' },
      says: /no WebGPU adapter: install/,
    }),
  };
  for (const [name, make] of Object.entries(cases)) {
    it(name, () => {
      const { args, env, says } = make();
      const result = cotune(args, env);
      expect(result.errors.join('\n'), result.stderr).toMatch(says);
      expect(result.errors).toHaveLength(1);
      expect(result.code).toBe(1);
      expect(result.stdout).toBe('');
    });
  }

  it('output that cannot be written is one of them, and whoever closes the pipe has read enough', () => {
    const full = openSync('/dev/full', 'w');
    const { status, stderr } = spawnSync(process.execPath, [cli, 'datasets', '--json'], {
      encoding: 'utf8',
      stdio: ['ignore', full, 'pipe'],
    });
    expect(stderr).toMatch(/^cotune: cannot write to standard output: ENOSPC.*\n$/);
    expect(status).toBe(1);
    const closed = spawnSync('bash', [
      '-c',
      `"$0" "$1" datasets | true; exit "\${PIPESTATUS[0]}"`,
      process.execPath,
      cli,
    ]);
    expect(String(closed.stderr)).toBe('');
    expect(closed.status).toBe(0);
  });

  it('bad usage is exit 2', () => {
    const neither = cotune(train());
    expect(neither).toMatchObject({ code: 2, errors: ['cotune: give either --data or --tokens'] });
    expect(cotune(['train', '--model', demoModel, '--steps', 'many']).code).toBe(2);
    expect(cotune(['generate']).code).toBe(2);
    expect(cotune(['fly']).code).toBe(2);
    expect(cotune(['join', 'http://127.0.0.1:9/join/x', '--data', demoShard, '--name', 'a\u001b[31mb']).code).toBe(2);
  });
});
