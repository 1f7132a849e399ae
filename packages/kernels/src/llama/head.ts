import type { BufferView } from '../gpu/buffers.ts';
import { crossEntropy, weightedCrossEntropyBackward } from '../ops/cross_entropy.ts';
import { matmulBackward, matmulForward } from '../ops/matmul.ts';
import { rmsnormBackward, rmsnormForward } from '../ops/rmsnorm.ts';
import type { Gradients } from './activations.ts';
import type { Pass } from './forward.ts';

type HeadPass = Omit<Pass, 'adapter' | 'dropout'>;

/** Final norm of the labelled positions: acts.xOut → acts.labelH. */
function recordFinalNorm({ b, model, acts, shape: { labelRows: rows } }: HeadPass): void {
  const { hiddenSize: dim, rmsNormEps: eps } = model.config;
  rmsnormForward(b, { x: acts.xOut, weight: model.finalNorm, y: acts.labelH, rows, dim, eps });
}

/** logits = labelH · Wᵀ of all label rows, which must fit one chunk: (labelRows, vocab) in acts.logits. */
export function recordLogits(pass: HeadPass): void {
  const { b, model, acts, shape } = pass;
  if (shape.labelRows > acts.logitRows) {
    throw new RangeError(`${shape.labelRows} rows of logits, expected at most ${acts.logitRows}`);
  }
  recordFinalNorm(pass);
  matmulForward(b, { x: acts.labelH, w: model.lmHead, y: acts.logits, rows: shape.labelRows });
}

/**
 * Cross-entropy of the labelled positions, in chunks of rows so that only one chunk of logits exists at a time
 * (the backward of a chunk therefore follows its forward at once). Leaves acts.loss and acts.correct; with `backward`
 * also d(loss)/d(acts.xOut) in gradients.dlabelX, where loss = Σ nats · step[inverseLabelTokens].
 */
export function recordLoss(pass: HeadPass, step: BufferView, backward: boolean): void {
  const { b, model } = pass;
  if (backward) gradientsOf(pass);
  recordFinalNorm(pass);
  for (const chunk of chunksOf(pass)) {
    const { rows } = chunk;
    matmulForward(b, { x: chunk.labelH, w: model.lmHead, y: chunk.logits, rows });
    crossEntropy(b, { ...chunk, step, vocab: model.config.vocabSize, backward });
    if (backward) recordChunkGradient(pass, chunk);
  }
  if (backward) recordFinalNormGradient(pass);
}

/**
 * After `recordLoss` without backward: d(Σ weights[row] · nats[row])/d(acts.xOut) in gradients.dlabelX, for a loss whose
 * weights are known only once every row's nats are. `weights` is (labelRows). The logits are made again, one chunk at a
 * time, but those of the last chunk are still there, so a batch of one chunk makes them once.
 */
export function recordWeightedGradient(pass: HeadPass, weights: BufferView): void {
  const { b, model } = pass;
  const chunks = chunksOf(pass);
  for (const chunk of chunks.toReversed()) {
    const { start, rows } = chunk;
    if (chunk !== chunks.at(-1)) matmulForward(b, { x: chunk.labelH, w: model.lmHead, y: chunk.logits, rows });
    const weighted = { ...chunk, weights: rowsOf(weights, start, rows, 1), vocab: model.config.vocabSize };
    weightedCrossEntropyBackward(b, weighted);
    recordChunkGradient(pass, chunk);
  }
  recordFinalNormGradient(pass);
}

/** Label rows [start, start + rows) and what belongs to them. */
interface Chunk {
  readonly start: number;
  readonly rows: number;
  readonly labelH: BufferView; // (rows, hidden)
  readonly logits: BufferView; // (rows, vocab), the same buffer for every chunk
  readonly labels: BufferView; // u32 (rows)
  readonly loss: BufferView; // (rows)
  readonly correct: BufferView; // u32 (rows)
}

function chunksOf({ model, acts, shape }: HeadPass): readonly Chunk[] {
  const count = Math.ceil(shape.labelRows / acts.logitRows);
  return Array.from({ length: count }, (_, i) => {
    const start = i * acts.logitRows;
    const rows = Math.min(acts.logitRows, shape.labelRows - start);
    return {
      start,
      rows,
      labelH: rowsOf(acts.labelH, start, rows, model.config.hiddenSize),
      logits: acts.logits,
      labels: rowsOf(acts.labels, start, rows, 1),
      loss: rowsOf(acts.loss, start, rows, 1),
      correct: rowsOf(acts.correct, start, rows, 1),
    };
  });
}

/** From the chunk's dlogits to its rows of dlabelH. */
function recordChunkGradient(pass: HeadPass, { start, rows, logits }: Chunk): void {
  const { b, model } = pass;
  const dx = rowsOf(gradientsOf(pass).dlabelH, start, rows, model.config.hiddenSize);
  matmulBackward(b, { dy: logits, w: model.lmHead, dx, rows, accumulate: false });
}

/** From dlabelH through the final norm to dlabelX. */
function recordFinalNormGradient(pass: HeadPass): void {
  const { b, model, acts, shape } = pass;
  const { hiddenSize: dim, rmsNormEps: eps } = model.config;
  const { dlabelX, dlabelH } = gradientsOf(pass);
  const norm = { x: acts.xOut, weight: model.finalNorm, rows: shape.labelRows, dim, eps };
  rmsnormBackward(b, { ...norm, dy: dlabelH, dx: dlabelX, accumulate: false });
}

function gradientsOf({ acts }: HeadPass): Gradients {
  if (!acts.gradients) throw new RangeError('these activations were made for the forward pass only');
  return acts.gradients;
}

/** Rows [start, start + rows) of a (…, width) tensor; `start` is a multiple of 64, hence aligned to 256 bytes. */
function rowsOf(view: BufferView, start: number, rows: number, width: number): BufferView {
  return { buffer: view.buffer, offset: view.offset + start * width * 4, size: rows * width * 4 };
}
