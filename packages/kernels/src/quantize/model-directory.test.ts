import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { directorySink, directorySource } from '../gpu/node-files.ts';
import { ModelFileError } from './error.ts';
import { openHuggingFaceModel } from './hugging-face.ts';
import type { ModelManifest } from './manifest.ts';
import { memorySink, memorySource } from './memory-files.ts';
import { openModelDirectory, verifyModelDirectory } from './model-directory.ts';
import { openModel } from './open-model.ts';
import { type QuantizeOptions, type QuantizeProgress, quantizeModel } from './quantize-model.ts';
import { quantizeRows } from './quantize-rows.ts';
import { encodeSafetensors } from './safetensors-encode.ts';
import type { FileSource } from './source.ts';
import { tinyCheckpoint } from './tiny-checkpoint.ts';

type Files = Record<string, Uint8Array | string>;

async function directoryOf(files: Files, options: QuantizeOptions): Promise<Files> {
  const sink = memorySink();
  await quantizeModel(memorySource(files, 'hub/tiny'), sink, options);
  return sink.files();
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => new Error('did not throw'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ModelFileError)) throw error;
  return error.code;
}

function manifestOf(files: Files): ModelManifest {
  return JSON.parse(new TextDecoder().decode(files['model.json'] as Uint8Array)) as ModelManifest;
}

describe('openHuggingFaceModel', () => {
  it('gives every weight under its name, matrices in int8 and norms in f32, the tied head once', async () => {
    const { files, tensors, config } = tinyCheckpoint();
    const model = await openHuggingFaceModel(memorySource(files), { dtype: 'int8' });
    expect(model.config).toEqual(config);
    expect(model.tensorNames).toEqual(tensors.map(({ name }) => name));
    expect(model.tensorNames).not.toContain('lm_head.weight');
    for (const { name, shape, data } of tensors) {
      const [rows = 0, cols] = shape;
      const expected =
        cols === undefined
          ? { dtype: 'f32', shape, data }
          : { dtype: 'int8', shape, ...quantizeRows(data, rows, cols) };
      expect(await model.tensor(name)).toEqual(expected);
    }
  });

  it('ignores a stored copy of a tied head, and asks for an untied one', async () => {
    const untied = tinyCheckpoint({ tie_word_embeddings: false });
    expect((await openHuggingFaceModel(memorySource(untied.files), { dtype: 'f32' })).tensorNames).toContain(
      'lm_head.weight',
    );
    const tied = { ...untied.files, 'config.json': tinyCheckpoint().files['config.json'] ?? '' };
    expect((await openHuggingFaceModel(memorySource(tied), { dtype: 'f32' })).tensorNames).not.toContain(
      'lm_head.weight',
    );
    const headless = { ...tinyCheckpoint().files, 'config.json': untied.files['config.json'] ?? '' };
    expect(await codeOf(openHuggingFaceModel(memorySource(headless), { dtype: 'f32' }))).toBe('missing-tensor');
  });

  it.each([
    [
      'another architecture',
      { 'config.json': JSON.stringify({ architectures: ['GPT2LMHeadModel'] }) },
      'unsupported-architecture',
    ],
    ['a config that is no JSON', { 'config.json': '{' }, 'malformed'],
    [
      'a config of other sizes',
      { 'config.json': tinyCheckpoint({ intermediate_size: 32 }).files['config.json'] ?? '' },
      'shape-mismatch',
    ],
    [
      'more layers than there are',
      { 'config.json': tinyCheckpoint({ num_hidden_layers: 3 }).files['config.json'] ?? '' },
      'missing-tensor',
    ],
  ])('refuses %s', async (_, replaced: Files, code) => {
    const files = { ...tinyCheckpoint().files, ...replaced };
    expect(await codeOf(openHuggingFaceModel(memorySource(files), { dtype: 'int8' }))).toBe(code);
  });

  it('refuses linears with a bias, and weights that are not finite', async () => {
    const { files, tensors } = tinyCheckpoint();
    const bias = { name: 'model.layers.0.self_attn.q_proj.bias', shape: [16], data: new Float32Array(16) };
    const biased = { ...files, 'model.safetensors': encodeSafetensors([...tensors, bias]) };
    expect(await codeOf(openHuggingFaceModel(memorySource(biased), { dtype: 'int8' }))).toBe(
      'unsupported-architecture',
    );
    for (const name of ['model.norm.weight', 'model.layers.1.mlp.down_proj.weight']) {
      const data = tensors.map((t) => (t.name === name ? { ...t, data: t.data.with(9, Number.NaN) } : t));
      const model = await openHuggingFaceModel(
        memorySource({ ...files, 'model.safetensors': encodeSafetensors(data) }),
        { dtype: 'int8' },
      );
      expect(await codeOf(model.tensor(name))).toBe('non-finite');
    }
  });

  it('refuses a tokenizer that belongs to another model', async () => {
    const { files } = tinyCheckpoint();
    for (const vocab_size of [24, 11]) {
      const other = tinyCheckpoint({ vocab_size }).files['tokenizer.json'] ?? '';
      const model = await openHuggingFaceModel(memorySource({ ...files, 'tokenizer.json': other }), { dtype: 'int8' });
      expect(await codeOf(model.tokenizerJson())).toBe('tokenizer-mismatch');
    }
    const padded = await openHuggingFaceModel(
      memorySource({ ...files, 'tokenizer.json': tinyCheckpoint({ vocab_size: 20 }).files['tokenizer.json'] ?? '' }),
      { dtype: 'int8' },
    );
    expect(await padded.tokenizerJson()).toContain('"t19"');
  });
});

describe('model directory', () => {
  it.each([
    ['int8', false],
    ['int8', true],
    ['f32', true],
  ] as const)('holds exactly the %s weights (tied: %s), also when tensors span shards', async (dtype, tied) => {
    const { files } = tinyCheckpoint({ tie_word_embeddings: tied });
    const original = await openHuggingFaceModel(memorySource(files), { dtype });
    for (const shardBytes of [256, 1024, 64 * 2 ** 20]) {
      const directory = await directoryOf(files, { dtype, shardBytes });
      const model = await openModelDirectory(memorySource(directory));
      expect(model.tensorNames).toEqual(original.tensorNames);
      expect(model.bytes).toBe(original.bytes);
      expect(model.config).toEqual(original.config);
      for (const name of model.tensorNames) expect(await model.tensor(name)).toEqual(await original.tensor(name));
      expect(await model.tokenizerJson()).toBe(await original.tokenizerJson());
      const { shards, tensors } = await verifyModelDirectory(memorySource(directory));
      expect(shards.every(({ bytes }) => bytes <= shardBytes)).toBe(true);
      expect(tensors.every(({ data }) => (data[0]?.offset ?? 1) % 256 === 0)).toBe(true);
      expect(shards.length === 1).toBe(shardBytes > 2 ** 20);
    }
  });

  it('streams: never asks the source for more than one slice, nor holds back shards', async () => {
    const { files } = tinyCheckpoint({ vocab_size: 40_000, hidden_size: 64, num_attention_heads: 4 });
    const plain = memorySource(files);
    let largestRead = 0;
    const watched: FileSource = {
      ...plain,
      async read(name, start, end) {
        const bytes = await plain.read(name, start, end);
        if (name === 'model.safetensors') largestRead = Math.max(largestRead, bytes.byteLength);
        return bytes;
      },
    };
    const progress: number[] = [];
    const sink = memorySink();
    const onProgress = ({ doneBytes, totalBytes }: QuantizeProgress) => progress.push(doneBytes / totalBytes);
    const manifest = await quantizeModel(watched, sink, { dtype: 'int8', shardBytes: 2 ** 20, onProgress });
    expect(largestRead).toBe(4 * 2 ** 20); // the embedding alone has 10 MB
    expect(manifest.shards.length).toBe(3);
    expect(progress.at(-1)).toBe(1);
    expect(progress.every((share, i) => i === 0 || share > (progress[i - 1] ?? 1))).toBe(true);
  });

  it('records chat template, licence and source', async () => {
    const files = {
      ...tinyCheckpoint().files,
      'tokenizer_config.json': JSON.stringify({ chat_template: [{ name: 'default', template: '{{ x }}' }] }),
      'README.md': '---\nlanguage: en\nlicense: apache-2.0\n---\n# Tiny\n',
    };
    const manifest = manifestOf(await directoryOf(files, { dtype: 'int8' }));
    expect(manifest).toMatchObject({ chatTemplate: '{{ x }}', licence: 'apache-2.0', source: 'tiny' });
    const told = manifestOf(await directoryOf(files, { dtype: 'int8', licence: 'MIT', source: 'hub/other' }));
    expect(told).toMatchObject({ licence: 'MIT', source: 'hub/other' });
  });

  it('finds any flipped byte by its hash', async () => {
    const directory = await directoryOf(tinyCheckpoint().files, { dtype: 'int8', shardBytes: 1024 });
    for (const name of Object.keys(directory).filter((file) => file !== 'model.json')) {
      const damaged = new Uint8Array(directory[name] as Uint8Array);
      damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] ?? 0) ^ 1;
      const error = await verifyModelDirectory(memorySource({ ...directory, [name]: damaged })).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).toMatchObject({ code: 'hash-mismatch', file: name });
    }
  });

  it('gives no weights of a shard on disk that is damaged, and goes on when it is mended', async () => {
    const directory = await directoryOf(tinyCheckpoint().files, { dtype: 'int8', shardBytes: 1024 });
    const { shards, tensors } = manifestOf(directory);
    const usesShard = ({ data, scale = [] }: ModelManifest['tensors'][number], shard: number) =>
      [...data, ...scale].some((segment) => segment.shard === shard);
    for (const [i, { file }] of shards.entries()) {
      const bytes = new Uint8Array(directory[file] as Uint8Array);
      const flip = () => bytes.set([(bytes[0] ?? 0) ^ 1]);
      flip();
      const model = await openModelDirectory({ ...memorySource({ ...directory, [file]: bytes }), onDisk: true });
      for (const tensor of tensors) {
        const given = await model.tensor(tensor.name).catch((thrown: unknown) => thrown);
        if (usesShard(tensor, i)) expect(given).toMatchObject({ code: 'hash-mismatch', file });
        else expect(given).toMatchObject({ shape: tensor.shape });
      }
      flip();
      for (const { name, shape } of tensors) expect(await model.tensor(name)).toMatchObject({ shape });
    }
  });

  it('reads files that are not on disk once', async () => {
    const directory = await directoryOf(tinyCheckpoint().files, { dtype: 'int8', shardBytes: 1024 });
    const plain = memorySource(directory);
    let read = 0;
    const model = await openModelDirectory({
      ...plain,
      async read(name, start, end) {
        const bytes = await plain.read(name, start, end);
        if (name.startsWith('shard-')) read += bytes.byteLength;
        return bytes;
      },
    });
    for (const name of model.tensorNames) await model.tensor(name);
    expect(read).toBe(model.bytes);
  });

  it('refuses directories with damaged parts', async () => {
    const directory = await directoryOf(tinyCheckpoint().files, { dtype: 'int8', shardBytes: 1024 });
    const without = (name: string): Files =>
      Object.fromEntries(Object.entries(directory).filter(([file]) => file !== name));
    const openWith = (replaced: Files) => codeOf(openModelDirectory(memorySource({ ...directory, ...replaced })));
    const edited = (edit: (manifest: ModelManifest) => void): Files => {
      const manifest = manifestOf(directory);
      edit(manifest);
      return { 'model.json': JSON.stringify(manifest) };
    };
    const first = (manifest: ModelManifest) => manifest.tensors[0] as ModelManifest['tensors'][number];

    expect(await codeOf(openModelDirectory(memorySource(without('model.json'))))).toBe('missing-file');
    expect(await codeOf(openModelDirectory(memorySource(without('shard-00001.bin'))))).toBe('missing-file');
    expect(await openWith({ 'shard-00001.bin': (directory['shard-00001.bin'] as Uint8Array).subarray(0, 1000) })).toBe(
      'truncated',
    );
    expect(await openWith({ 'shard-00001.bin': new Uint8Array(1025) })).toBe('malformed');
    expect(await openWith(edited((m) => Object.assign(m, { version: 2 })))).toBe('unsupported-version');
    expect(await openWith(edited((m) => Object.assign(m, { format: 'other' })))).toBe('malformed');
    expect(await openWith(edited((m) => m.tensors.shift()))).toBe('missing-tensor');
    expect(await openWith(edited((m) => Object.assign(first(m), { shape: [16, 23] })))).toBe('shape-mismatch');
    expect(await openWith(edited((m) => Object.assign(first(m), { dtype: 'f32' })))).toBe('shape-mismatch');
    expect(await openWith(edited((m) => Object.assign(first(m).data[0] ?? {}, { bytes: 4 })))).toBe('malformed');
    expect(await openWith(edited((m) => Object.assign(first(m).data[0] ?? {}, { shard: 99 })))).toBe('malformed');
    expect(await openWith(edited((m) => Object.assign(m.shards[0] ?? {}, { file: '../shard-00000.bin' })))).toBe(
      'malformed',
    );
  });
});

describe('openModel on disk', () => {
  const made: string[] = [];
  afterAll(() => Promise.all(made.map((path) => rm(path, { recursive: true }))));

  it('opens a written directory and a Hugging Face directory, whichever is there', async () => {
    const root = await mkdtemp(join(tmpdir(), 'cotune-model-'));
    made.push(root);
    const { files } = tinyCheckpoint();
    const checkpoint = directorySink(join(root, 'hf'));
    for (const [name, file] of Object.entries(files)) {
      await checkpoint.append(name, typeof file === 'string' ? new TextEncoder().encode(file) : file);
      await checkpoint.close(name);
    }
    await quantizeModel(directorySource(join(root, 'hf')), directorySink(join(root, 'out')), { dtype: 'int8' });
    expect((await readdir(join(root, 'out'))).sort()).toEqual(['model.json', 'shard-00000.bin', 'tokenizer.json']);
    const quantized = await openModel(directorySource(join(root, 'out')));
    const original = await openModel(directorySource(join(root, 'hf')));
    const name = 'model.layers.1.mlp.down_proj.weight';
    expect(await quantized.tensor(name)).toEqual(await original.tensor(name));
    expect(await codeOf(openModel(directorySource(join(root, 'out')), { dtype: 'f32' }))).toBe('unsupported-dtype');
    expect(await codeOf(openModel(directorySource(join(root, 'nowhere'))))).toBe('missing-file');
    const shard = join(root, 'out', 'shard-00000.bin');
    const bytes = await readFile(shard);
    await writeFile(shard, bytes.with(bytes.length >> 1, (bytes[bytes.length >> 1] ?? 0) ^ 1));
    expect(await codeOf((await openModel(directorySource(join(root, 'out')))).tensor(name))).toBe('hash-mismatch');
    expect(await codeOf(directorySource(root).read('../etc'))).toBe('malformed');
    expect(await codeOf(directorySource(join(root, 'out')).read('tokenizer.json', 0, 10 ** 6))).toBe('truncated');
  });

  it('shows a file only when it is closed', async () => {
    const root = await mkdtemp(join(tmpdir(), 'cotune-sink-'));
    made.push(root);
    const sink = directorySink(root);
    await sink.append('a.bin', Uint8Array.of(1, 2));
    await sink.append('a.bin', Uint8Array.of(3));
    expect(await directorySource(root).size('a.bin')).toBeUndefined();
    await sink.close('a.bin');
    expect(await directorySource(root).read('a.bin')).toEqual(Uint8Array.of(1, 2, 3));
    expect(await directorySource(root).read('a.bin', 1, 2)).toEqual(Uint8Array.of(2));
  });
});
