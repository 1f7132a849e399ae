import { z } from 'zod';

/** Geometry of a Llama-family model, in the product's own names. */
export interface LlamaConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | null;
  readonly rmsNormEps: number;
  readonly tiedEmbeddings: boolean;
  readonly maxPositions: number;
  readonly bosTokenId: number;
  readonly eosTokenIds: readonly number[];
}

export type RopeScaling =
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositions: number;
    };

/** A config.json field that this engine does not support, or that is malformed. The message names the field. */
export class ConfigError extends Error {
  readonly field: string;
  constructor(field: string, message: string) {
    super(`config.json: ${field}: ${message}`);
    this.name = 'ConfigError';
    this.field = field;
  }
}

const positive = z.number().int().positive();
const hfConfig = z.object({
  architectures: z.array(z.string()).optional(),
  model_type: z.string().optional(),
  vocab_size: positive,
  hidden_size: positive,
  intermediate_size: positive,
  num_hidden_layers: positive,
  num_attention_heads: positive,
  num_key_value_heads: positive.optional(),
  head_dim: positive.nullish(),
  rope_theta: z.number().positive().optional(),
  rope_scaling: z.record(z.string(), z.unknown()).nullish(),
  rms_norm_eps: z.number().positive(),
  tie_word_embeddings: z.boolean().optional(),
  max_position_embeddings: positive.optional(),
  bos_token_id: z.number().int().nullish(),
  eos_token_id: z.union([z.number().int(), z.array(z.number().int())]).nullish(),
  hidden_act: z.string().optional(),
  attention_bias: z.boolean().optional(),
  mlp_bias: z.boolean().optional(),
});

/** Reads a Hugging Face `config.json`. Throws ConfigError by field name for anything but a Llama this engine runs exactly. */
export function parseLlamaConfig(json: unknown): LlamaConfig {
  const parsed = hfConfig.safeParse(json);
  const { architectures, model_type: modelType } = (json ?? {}) as Record<string, unknown>;
  const architecture = Array.isArray(architectures) ? String(architectures[0]) : undefined;
  if (architecture !== undefined && architecture !== 'LlamaForCausalLM') {
    throw new ConfigError('architectures', `got ${architecture}, expected LlamaForCausalLM`);
  }
  if (architecture === undefined && modelType !== 'llama') {
    throw new ConfigError('model_type', `got ${JSON.stringify(modelType)}, expected "llama"`);
  }
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ConfigError(issue?.path.join('.') || '(root)', issue?.message ?? 'malformed');
  }
  const c = parsed.data;
  if (c.hidden_act !== undefined && c.hidden_act !== 'silu') {
    throw new ConfigError('hidden_act', `got ${c.hidden_act}, expected silu`);
  }
  if (c.attention_bias) throw new ConfigError('attention_bias', 'got true, expected false');
  if (c.mlp_bias) throw new ConfigError('mlp_bias', 'got true, expected false');
  const heads = c.num_attention_heads;
  const kvHeads = c.num_key_value_heads ?? heads;
  const headDim = c.head_dim ?? c.hidden_size / heads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) {
    throw new ConfigError('head_dim', `got ${headDim}, expected an even whole number`);
  }
  if (heads % kvHeads !== 0) {
    throw new ConfigError('num_key_value_heads', `got ${kvHeads}, expected a divisor of ${heads} attention heads`);
  }
  for (const [field, value] of [
    ['hidden_size', c.hidden_size],
    ['intermediate_size', c.intermediate_size],
    ['head_dim', headDim * heads],
  ] as const) {
    if (value % 4 !== 0) throw new ConfigError(field, `got ${value}, expected a multiple of 4 (int8 packing)`);
  }
  const eos = c.eos_token_id ?? 2;
  return {
    vocabSize: c.vocab_size,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    layers: c.num_hidden_layers,
    heads,
    kvHeads,
    headDim,
    ropeTheta: c.rope_theta ?? 10000,
    ropeScaling: parseRopeScaling(c.rope_scaling ?? null),
    rmsNormEps: c.rms_norm_eps,
    tiedEmbeddings: c.tie_word_embeddings ?? false,
    maxPositions: c.max_position_embeddings ?? 2048,
    bosTokenId: c.bos_token_id ?? 1,
    eosTokenIds: Array.isArray(eos) ? eos : [eos],
  };
}

function parseRopeScaling(raw: Record<string, unknown> | null): RopeScaling | null {
  if (raw === null) return null;
  const type = raw.rope_type ?? raw.type;
  const number = (name: string): number => {
    const value = raw[name];
    if (typeof value !== 'number')
      throw new ConfigError(`rope_scaling.${name}`, `got ${String(value)}, expected a number`);
    return value;
  };
  if (type === 'default') return null;
  if (type === 'linear') return { type, factor: number('factor') };
  if (type === 'llama3') {
    return {
      type,
      factor: number('factor'),
      lowFreqFactor: number('low_freq_factor'),
      highFreqFactor: number('high_freq_factor'),
      originalMaxPositions: number('original_max_position_embeddings'),
    };
  }
  throw new ConfigError('rope_scaling.rope_type', `got ${String(type)}, expected default, linear or llama3`);
}
