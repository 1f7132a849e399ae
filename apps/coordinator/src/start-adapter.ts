import { type BlobRef, decodeVector, encodeVector, FlError, type RunConfig, sha256Hex } from '@cotune/fl-core';
import { type AdapterLayout, adapterLayout, initAdapter, type LoraConfig, type PeftAdapter } from '@cotune/kernels';
import type { BlobStore } from './blobs/blob-store.ts';
import type { ModelCatalog } from './evaluator/model-catalog.ts';
import type { RunEngine } from './run-engine.ts';

type Started = Pick<RunConfig, 'startAdapter' | 'lora' | 'seed'>;

/**
 * The vector that a run starts from, (layout.length): the adapter that it names, or a new one made from its seed.
 * Throws FlError 'not-found', 'wrong-hash', or 'wrong-shape' when it is of another layout.
 */
export async function firstVector(
  { startAdapter, seed }: Started,
  layout: AdapterLayout,
  blobs: Pick<BlobStore, 'read'>,
): Promise<Float32Array> {
  if (startAdapter === undefined) return initAdapter(layout, seed);
  const { vector } = decodeVector(await blobs.read(startAdapter));
  requireLength(vector, layout);
  return vector;
}

/** An adapter for runs to start from, as it is kept. */
export interface StartAdapter {
  readonly vector: Float32Array;
  readonly bytes: Uint8Array;
  /** What the run's `startAdapter` is to be. */
  readonly sha256: string;
}

/** As runs start from it. FlError 'wrong-shape' when the run's LoRA settings are others. */
export function encodedStart(
  { config, vector }: Pick<PeftAdapter, 'config' | 'vector'>,
  { lora }: Pick<RunConfig, 'lora'>,
): StartAdapter {
  requireSameLora(config, lora, 'the adapter');
  const bytes = encodeVector(vector, { dtype: 'f32', round: 0 });
  return { vector, bytes, sha256: sha256Hex(bytes) };
}

/** Keeps an adapter for runs to start from; `startAdapter` is its sha256. FlError 'wrong-shape' when the run's LoRA settings are others. */
export const putStartAdapter = async (
  adapter: Pick<PeftAdapter, 'config' | 'vector'>,
  of: Pick<RunConfig, 'lora'>,
  blobs: Pick<BlobStore, 'put'>,
): Promise<BlobRef> => blobs.put('adapter', encodedStart(adapter, of).bytes);

/** Refuses a run that could not start from the adapter that it names. Throws FlError 'invalid', 'wrong-shape', 'not-found' or 'wrong-hash'. */
export async function requireStartAdapter(
  config: RunConfig,
  { blobs, models, runs }: { blobs: BlobStore; models: Pick<ModelCatalog, 'open'>; runs: () => readonly RunEngine[] },
): Promise<void> {
  const { startAdapter, modelId, lora } = config;
  if (startAdapter === undefined) return;
  if (!(await blobs.find('adapter', startAdapter))) {
    throw new FlError(
      'invalid',
      `startAdapter: there is no adapter ${startAdapter} here: take the result of a finished run, or give one with cotune serve --adapter`,
    );
  }
  for (const { config: made, adapter } of runs().map((run) => run.state())) {
    if (adapter?.sha256 !== startAdapter) continue;
    if (made.modelId !== modelId)
      throw new FlError('invalid', `startAdapter: it was trained on model "${made.modelId}", got model "${modelId}"`);
    requireSameLora(made.lora, lora, `startAdapter, the result of "${made.name}",`);
  }
  const { config: architecture } = await models.open(modelId);
  await firstVector(config, adapterLayout(architecture, lora), blobs);
}

function requireLength(vector: Float32Array, layout: AdapterLayout): void {
  if (vector.length === layout.length) return;
  throw new FlError(
    'wrong-shape',
    `startAdapter: got ${vector.length} values, expected ${layout.length}: it is of another model, rank or other targets`,
  );
}

const inWords = ({ rank, alpha, targets }: Omit<LoraConfig, 'dropout'>): string =>
  `rank ${rank}, alpha ${alpha}, targets ${[...targets].sort().join(', ')}`;

/** The same numbers mean another model with another alpha, too. Dropout belongs to training alone. */
function requireSameLora(got: LoraConfig, expected: RunConfig['lora'], whose: string): void {
  const [own, wanted] = [inWords(got), inWords(expected)];
  if (own !== wanted)
    throw new FlError('wrong-shape', `${whose} has ${own}; the run has ${wanted}: give both the same "lora"`);
}
