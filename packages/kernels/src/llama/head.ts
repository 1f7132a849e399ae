import type { BufferView } from '../gpu/buffers.ts';
import { crossEntropy } from '../ops/cross_entropy.ts';
import { matmulBackward, matmulForward } from '../ops/matmul.ts';
import { rmsnormBackward, rmsnormForward } from '../ops/rmsnorm.ts';
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
  const { b, model, acts, shape } = pass;
  const { hiddenSize: dim, vocabSize: vocab, rmsNormEps: eps } = model.config;
  const { xOut, labelH, logits } = acts;
  const gradients = backward ? acts.gradients : null;
  if (backward && !gradients) throw new RangeError('these activations were made for the forward pass only');

  recordFinalNorm(pass);
  const chunk = acts.logitRows;
  for (let start = 0; start < shape.labelRows; start += chunk) {
    const rows = Math.min(chunk, shape.labelRows - start);
    matmulForward(b, { x: rowsOf(labelH, start, rows, dim), w: model.lmHead, y: logits, rows });
    const [labels, loss, correct] = [acts.labels, acts.loss, acts.correct].map((view) => rowsOf(view, start, rows, 1));
    crossEntropy(b, { logits, labels: labels!, loss: loss!, correct: correct!, step, rows, vocab, backward }); // three of three
    if (gradients) {
      const dx = rowsOf(gradients.dlabelH, start, rows, dim);
      matmulBackward(b, { dy: logits, w: model.lmHead, dx, rows, accumulate: false });
    }
  }
  if (!gradients) return;
  const { dlabelX, dlabelH } = gradients;
  const norm = { x: xOut, weight: model.finalNorm, rows: shape.labelRows, dim, eps };
  rmsnormBackward(b, { ...norm, dy: dlabelH, dx: dlabelX, accumulate: false });
}

/** Rows [start, start + rows) of a (…, width) tensor; `start` is a multiple of 64, hence aligned to 256 bytes. */
function rowsOf(view: BufferView, start: number, rows: number, width: number): BufferView {
  return { buffer: view.buffer, offset: view.offset + start * width * 4, size: rows * width * 4 };
}
