import { z } from 'zod';
import type { LlamaConfig } from '../llama/config.ts';
import { ModelFileError } from './error.ts';
import { modelTensors } from './model-tensors.ts';
import { parseJson, parseWith, readText } from './read-file.ts';
import type { FileSource } from './source.ts';
import { TOKENIZER } from './tokenizer-file.ts';

export const MANIFEST = 'model.json';
/** WebGPU's default limit on a binding is twice this; a shard is also what is downloaded, hashed and resumed at a time. */
export const MAX_SHARD_BYTES = 64 * 2 ** 20;
/** Tensors begin at multiples of this, WebGPU's strictest offset alignment. */
export const TENSOR_ALIGNMENT = 256;
const VERSION = 1;

const count = z.number().int().nonnegative();
const positive = z.number().int().positive();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hex digits');
const ropeScaling = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('linear'), factor: z.number().positive() }),
  z.strictObject({
    type: z.literal('llama3'),
    factor: z.number().positive(),
    lowFreqFactor: z.number().positive(),
    highFreqFactor: z.number().positive(),
    originalMaxPositions: positive,
  }),
]);

const architecture = z
  .strictObject({
    vocabSize: positive,
    hiddenSize: positive.multipleOf(4),
    intermediateSize: positive.multipleOf(4),
    layers: positive.max(1024),
    heads: positive,
    kvHeads: positive,
    headDim: positive.multipleOf(2),
    ropeTheta: z.number().positive(),
    ropeScaling: ropeScaling.nullable(),
    rmsNormEps: z.number().positive(),
    tiedEmbeddings: z.boolean(),
    maxPositions: positive,
    bosTokenId: count,
    eosTokenIds: z.array(count),
  })
  .refine((c) => c.heads % c.kvHeads === 0, { path: ['kvHeads'], message: 'expected a divisor of heads' })
  .refine((c) => (c.heads * c.headDim) % 4 === 0, { path: ['headDim'], message: 'expected heads × headDim in fours' });

/** `bytes` at `offset` of shard number `shard`. */
const segment = z.object({ shard: count, offset: count, bytes: positive });

const tensor = z.object({
  name: z.string(),
  dtype: z.enum(['int8', 'f32']),
  shape: z.array(positive).min(1).max(2),
  /** The elements, row-major, little-endian: these segments one after the other (a large tensor spans shards). */
  data: z.array(segment).min(1),
  /** int8 only: one f32 scale a row. */
  scale: z.array(segment).min(1).optional(),
});

/** A file of weights, as downloaded, hashed and resumed at a time. */
export const shardSchema = z.object({
  file: z.string().regex(/^shard-\d{5}\.bin$/),
  bytes: positive.max(MAX_SHARD_BYTES),
  sha256,
});

/** `model.json`, the table of contents of a model directory. */
export const modelManifest = z.object({
  format: z.literal('cotune-model'),
  version: z.literal(VERSION),
  architecture,
  /** Storage of the matrices; norms are f32. */
  dtype: z.enum(['int8', 'f32']),
  tensors: z.array(tensor).min(1),
  shards: z.array(shardSchema).min(1),
  tokenizer: z.object({ file: z.literal(TOKENIZER), bytes: positive, sha256 }),
  /** Jinja template of the model's chat format. */
  chatTemplate: z.string().nullable(),
  licence: z.string().nullable(),
  /** Where the weights came from: a hub id or an address. */
  source: z.string(),
});

export type ModelManifest = z.infer<typeof modelManifest>;
export type ManifestTensor = ModelManifest['tensors'][number];
export type Segment = ManifestTensor['data'][number];

/** Reads and checks model.json. Throws 'missing-file', 'malformed', 'unsupported-version', 'missing-tensor', 'shape-mismatch'. */
export async function readManifest(source: FileSource): Promise<ModelManifest> {
  return parseManifest(parseJson(await readText(source, MANIFEST), MANIFEST));
}

/** Checks parsed JSON against the schema, the architecture's tensors, and the shards' sizes. Throws as `readManifest`. */
export function parseManifest(json: unknown): ModelManifest {
  const { format, version } = (json ?? {}) as Record<string, unknown>;
  if (format === 'cotune-model' && typeof version === 'number' && version > VERSION) {
    throw new ModelFileError(
      'unsupported-version',
      MANIFEST,
      `got version ${version}, expected ${VERSION}; update this program`,
    );
  }
  const manifest = parseWith(modelManifest, json, MANIFEST);
  const found = new Map(manifest.tensors.map((entry) => [entry.name, entry]));
  for (const { name, kind, shape } of modelTensors(manifest.architecture satisfies LlamaConfig)) {
    const entry = found.get(name);
    if (!entry)
      throw new ModelFileError('missing-tensor', MANIFEST, `no tensor ${name}, which the architecture asks for`);
    const dtype = kind === 'norm' ? 'f32' : manifest.dtype;
    if (entry.shape.join() !== shape.join() || entry.dtype !== dtype) {
      throw new ModelFileError(
        'shape-mismatch',
        MANIFEST,
        `${name}: got ${entry.dtype} [${entry.shape}], expected ${dtype} [${shape}]`,
      );
    }
    checkSegments(manifest, entry);
  }
  return manifest;
}

function checkSegments({ shards }: ModelManifest, { name, dtype, shape, data, scale = [] }: ManifestTensor): void {
  const elements = shape.reduce((product, n) => product * n, 1);
  const expected = dtype === 'int8' ? [elements, 4 * (shape[0] ?? 0)] : [4 * elements, 0];
  const got = [data, scale].map((segments) => segments.reduce((sum, { bytes }) => sum + bytes, 0));
  if (got.join() !== expected.join()) {
    throw new ModelFileError(
      'malformed',
      MANIFEST,
      `${name}: got ${got.join(' + ')} bytes, expected ${expected.join(' + ')}`,
    );
  }
  for (const { shard, offset, bytes } of [...data, ...scale]) {
    const end = shards[shard]?.bytes ?? 0;
    if (offset % 4 !== 0 || offset + bytes > end) {
      throw new ModelFileError(
        'malformed',
        MANIFEST,
        `${name}: got bytes ${offset}..${offset + bytes} of shard ${shard}, which has ${end}`,
      );
    }
  }
}
