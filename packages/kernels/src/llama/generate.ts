import { type Arena, createArena, writeView } from '../gpu/buffers.ts';
import { createProgramBuilder, type Program } from '../gpu/program.ts';
import { createReadback, type Readback } from '../gpu/readback.ts';
import { uploadVector } from '../lora/flat-vector.ts';
import type { AdapterLayout } from '../lora/layout.ts';
import { uniform } from '../lora/uniform.ts';
import { sampleToken } from '../ops/sample.ts';
import { type Activations, createActivations } from './activations.ts';
import { cacheLayer, type KeyValueCache, recordDecode } from './decode.ts';
import { ModelError } from './error.ts';
import { recordForward } from './forward.ts';
import { recordLogits } from './head.ts';
import type { AdapterBuffers } from './linear.ts';
import { requiredCapacity } from './plan-capacity.ts';
import type { Model } from './weights.ts';

export interface GenerateOptions {
  /** Token ids to continue, at least one (BOS for an empty prompt). */
  readonly promptIds: readonly number[] | Uint32Array;
  /** Most tokens to generate; fewer when a stop token comes or the model's positions end. */
  readonly maxTokens: number;
  /** 0 (default) takes the likeliest token every time. */
  readonly temperature?: number;
  /** Samples from the smallest set of tokens with this much probability together. Default 1: from all. */
  readonly topP?: number;
  /** The same seed, model, adapter and prompt give the same tokens. Default 0. */
  readonly seed?: number;
  /** Applied beside the weights, never merged into them. */
  readonly adapter?: { readonly layout: AdapterLayout; readonly vector: Float32Array };
  /** Ends the text and is left out of the result. Default: the model's end-of-text tokens. */
  readonly stopIds?: readonly number[];
  readonly onToken?: (tokenId: number) => void;
  /** Ends the text early; what was generated so far is returned. */
  readonly signal?: AbortSignal;
}

export interface Generated {
  /** Without the prompt. */
  readonly tokenIds: number[];
}

/**
 * Continues a prompt with a key/value cache: one padded forward pass over the prompt, then one token at a time.
 * Throws ModelError 'bad-token', 'too-long' or 'bad-adapter'.
 */
export async function generate(model: Model, options: GenerateOptions): Promise<Generated> {
  const { promptIds, maxTokens, temperature = 0, topP = 1, seed = 0, onToken, signal } = options;
  checkRequest(model, options);
  const stop = new Set(options.stopIds ?? model.config.eosTokenIds);
  const budget = Math.min(maxTokens, model.config.maxPositions - promptIds.length);
  const decoder = await createDecoder(model, promptIds.length, promptIds.length + budget, options.adapter);
  const tokenIds: number[] = [];
  try {
    let draws = 0;
    const random = () => uniform(seed, draws++);
    let logits = budget > 0 ? await decoder.prefill(Uint32Array.from(promptIds)) : new Float32Array();
    while (tokenIds.length < budget && !signal?.aborted) {
      const token = sampleToken(logits, { temperature, topP, random });
      if (stop.has(token)) break;
      tokenIds.push(token);
      onToken?.(token);
      if (tokenIds.length < budget) logits = await decoder.next(token);
    }
  } finally {
    decoder.destroy();
  }
  return { tokenIds };
}

function checkRequest({ config }: Model, { promptIds, adapter }: GenerateOptions): void {
  if (promptIds.length === 0)
    throw new ModelError('bad-token', 'the prompt has no tokens: begin it with the BOS token');
  if (promptIds.length >= config.maxPositions) {
    throw new ModelError(
      'too-long',
      `the prompt has ${promptIds.length} tokens, the model takes ${config.maxPositions}: shorten it`,
    );
  }
  const wrong = Array.from(promptIds).find((id) => !Number.isInteger(id) || id < 0 || id >= config.vocabSize);
  if (wrong !== undefined) {
    throw new ModelError(
      'bad-token',
      `token ${wrong} in the prompt, expected 0…${config.vocabSize - 1}: wrong tokenizer?`,
    );
  }
  if (adapter && adapter.vector.length !== adapter.layout.length) {
    throw new ModelError(
      'bad-adapter',
      `adapter of ${adapter.vector.length} elements, its layout has ${adapter.layout.length}`,
    );
  }
}

/** Feeds tokens to the model one call at a time; each call answers with the logits (vocab) after its last token. */
interface Decoder {
  prefill(promptIds: Uint32Array): Promise<Float32Array<ArrayBuffer>>;
  next(token: number): Promise<Float32Array<ArrayBuffer>>;
  destroy(): void;
}

async function createDecoder(
  model: Model,
  promptLength: number,
  positions: number,
  adapterData: GenerateOptions['adapter'],
): Promise<Decoder> {
  const { gpu, config } = model;
  const arena = createArena(gpu.device);
  const lora = adapterData?.layout.config ?? null;
  const adapter: AdapterBuffers | null = adapterData
    ? { layout: adapterData.layout, vector: uploadVector(arena, gpu.device, adapterData), gradient: null }
    : null;
  const prompt = { batch: 1, seq: promptLength, labelRows: 1 };
  const bindingBytes = gpu.device.limits.maxStorageBufferBindingSize;
  const capacity = requiredCapacity(config, prompt, { attention: 'materialised', bindingBytes });
  const acts = createActivations(gpu, config, capacity, { lora, keep: 'nothing' });
  const cache = createCache(arena, model, Math.ceil(positions / 16) * 16);
  const readback = createReadback(gpu, config.vocabSize);
  const prefill = await recordPrefill(model, adapter, acts, cache, promptLength);
  const b = createProgramBuilder(gpu);
  recordDecode({ b, model, adapter, acts, cache });
  const decode = await b.finish('decode');
  let length = promptLength;
  writeView(gpu.device, acts.labelIndex, Uint32Array.of(promptLength - 1)); // where the prompt's logits are wanted
  const submit = (program: Program, ids: Uint32Array, from: number) => {
    writeView(gpu.device, acts.ids, ids);
    writeView(
      gpu.device,
      acts.positions,
      Uint32Array.from(ids, (_, i) => from + i),
    );
    writeView(gpu.device, cache.length, Uint32Array.of(from + ids.length));
    program.run();
    return readLogits(readback, acts, config.vocabSize);
  };
  return {
    prefill: (promptIds) => submit(prefill, promptIds, 0),
    next: (token) => submit(decode, Uint32Array.of(token), length++),
    destroy() {
      for (const resource of [prefill, decode, acts, arena, readback]) resource.destroy();
    },
  };
}

async function readLogits(
  readback: Readback,
  acts: Activations,
  vocabSize: number,
): Promise<Float32Array<ArrayBuffer>> {
  readback.copy(acts.logits, vocabSize);
  return new Float32Array(await readback.read());
}

function createCache(arena: Arena, { config }: Model, maxSeq: number): KeyValueCache {
  const width = config.kvHeads * config.headDim;
  return {
    layers: Array.from({ length: config.layers }, (_, layer) => ({
      k: arena.alloc(`layer ${layer} key cache`, maxSeq * width),
      v: arena.alloc(`layer ${layer} value cache`, maxSeq * width),
    })),
    scores: arena.alloc('decode scores', config.heads * maxSeq),
    length: arena.alloc('cache length', 1),
    maxSeq,
  };
}

/** The training forward over the whole prompt; each layer's keys and values go to the cache before the room is needed. */
function recordPrefill(
  model: Model,
  adapter: AdapterBuffers | null,
  acts: Activations,
  cache: KeyValueCache,
  promptLength: number,
): Promise<Program> {
  const b = createProgramBuilder(model.gpu);
  const bytes = promptLength * model.config.kvHeads * model.config.headDim * 4;
  const pass = { b, model, adapter, dropout: null, acts, shape: { batch: 1, seq: promptLength, labelRows: 1 } };
  recordForward(pass, (layer, { k, v }) => {
    b.copy(k, cacheLayer(cache, layer).k, bytes);
    b.copy(v, cacheLayer(cache, layer).v, bytes);
  });
  recordLogits(pass);
  return b.finish(`prefill of ${promptLength} tokens`);
}
