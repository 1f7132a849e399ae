import type { LlamaConfig } from './config.ts';
import type { Counts } from './plan-slots.ts';

/** One padded batch: `batch` rows of `seq` tokens, of which `labelRows` positions go through the vocabulary matmul. */
export interface BatchShape {
  readonly batch: number;
  readonly seq: number;
  readonly labelRows: number;
}

/** flash: no attention matrix is ever stored. materialised: one layer's is, of as many rows at a time as fit. */
export type AttentionKind = 'flash' | 'materialised';

/** Sizes that decide whether a batch fits a table of activations. */
export interface Capacity {
  readonly tokens: number;
  readonly labelRows: number;
  /** Elements of (rows·heads, seq, seq) for the rows that materialised attention takes at a time. */
  readonly scores: number;
  /** Tokens of batches that run flash attention. */
  readonly flashTokens: number;
}

export const LOGIT_CHUNK_BYTES = 32 * 2 ** 20;
/** Attention matrices are made for as many rows of a batch at a time as fit this, or for one: more gain nothing. */
const SCORE_BYTES = 128 * 2 ** 20;

/** Rows of logits in one chunk: a multiple of 64, so that chunks of per-row buffers start at multiples of 256 bytes. */
export function logitRowsOf(config: LlamaConfig, chunkBytes: number): number {
  return Math.max(64, Math.floor(chunkBytes / (config.vocabSize * 4) / 64) * 64);
}

/** Rows of a batch whose attention matrices are made at a time: all, or as many as start at multiples of 64 tokens. */
export function attentionRows(
  config: LlamaConfig,
  { batch, seq }: Pick<BatchShape, 'batch' | 'seq'>,
  bindingBytes: number,
) {
  const most = Math.floor(Math.min(bindingBytes, SCORE_BYTES) / (config.heads * seq * seq * 4));
  if (batch <= most) return batch;
  let step = 1;
  while ((step * seq) % 64 !== 0) step += 1;
  return Math.min(batch, Math.max(step, Math.floor(most / step) * step));
}

export function requiredCapacity(
  config: LlamaConfig,
  shape: BatchShape,
  { attention, bindingBytes }: { readonly attention: AttentionKind; readonly bindingBytes: number },
): Capacity {
  const { batch, seq, labelRows } = shape;
  const tokens = batch * seq;
  if (attention === 'flash') return { tokens, labelRows, scores: 0, flashTokens: tokens };
  const scores = attentionRows(config, shape, bindingBytes) * config.heads * seq * seq;
  return { tokens, labelRows, scores, flashTokens: 0 };
}

/** Whether a batch that needs `wanted` fits in `held`. */
export function fits(wanted: Capacity, held: Capacity): boolean {
  return (
    wanted.tokens <= held.tokens &&
    wanted.labelRows <= held.labelRows &&
    wanted.scores <= held.scores &&
    wanted.flashTokens <= held.flashTokens
  );
}

/** The smallest capacity that holds both. */
export function largerCapacity(a: Capacity, b: Capacity): Capacity {
  return {
    tokens: Math.max(a.tokens, b.tokens),
    labelRows: Math.max(a.labelRows, b.labelRows),
    scores: Math.max(a.scores, b.scores),
    flashTokens: Math.max(a.flashTokens, b.flashTokens),
  };
}

/** Rows of the table's tensors. The last layer's upper half has a row a label, of which padding may make more than tokens. */
export function countsOf({ tokens, labelRows, scores, flashTokens }: Capacity, logitRows: number): Counts {
  return {
    token: Math.max(tokens, labelRows),
    label: labelRows,
    logit: Math.min(labelRows, logitRows),
    score: scores,
    flashToken: flashTokens,
    one: 1,
  };
}
