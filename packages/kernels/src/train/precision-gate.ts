// A lower precision may train only after it was seen to keep loss and gradient on the model in hand and on a real batch: how
// far it rounds depends on the weights and the text (outliers appear with size: LLM.int8, arXiv 2208.07339, §3), and some
// drivers return wrong numbers without an error.
import { ModelError } from '../llama/error.ts';
import type { Model } from '../llama/weights.ts';
import { initAdapter } from '../lora/init.ts';
import { adapterLayout, type LoraConfig } from '../lora/layout.ts';
import { uniform } from '../lora/uniform.ts';
import type { Precision } from '../ops/precision.ts';
import type { TokenizedExample } from './batch.ts';
import type { ComputeOptions } from './settings.ts';
import { createTrainer } from './trainer.ts';

/** Largest |loss − f32 loss| / f32 loss. */
export const MAX_LOSS_DIFFERENCE = 2e-2;
/** Smallest cosine between the adapter's gradient and that in f32. */
export const MIN_GRADIENT_COSINE = 0.999;

export interface PrecisionCheck {
  readonly precision: Precision;
  /** |loss − f32 loss| / f32 loss, of the batch's mean loss. */
  readonly lossDifference: number;
  /** Of the flat gradients of the whole adapter. */
  readonly gradientCosine: number;
  /** ‖gradient − f32 gradient‖ / ‖f32 gradient‖; not held to a bound. */
  readonly gradientRelativeL2: number;
}

export interface PrecisionCheckOptions extends Omit<ComputeOptions, 'precision'> {
  /** The adapter to compare at. Default: a seeded one, the same on every machine. */
  readonly adapter?: Float32Array;
}

/**
 * Compares loss and adapter gradient of `examples` under `precision` with those under f32, without dropout, on `model` and
 * its device. Throws ModelError 'imprecise' with the figures where the relative difference of the losses is above 2e-2 or
 * the cosine of the gradients below 0.999, and what createTrainer and its gradients throw. Returns the figures.
 * The activations of both are never held at the same time.
 */
export async function checkPrecision(
  model: Model,
  lora: LoraConfig,
  precision: Precision,
  examples: readonly TokenizedExample[],
  { adapter, ...options }: PrecisionCheckOptions = {},
): Promise<PrecisionCheck> {
  const settled = { ...lora, dropout: 0 };
  const vector = adapter ?? trainedLooking(model, settled);
  const measure = async (compute: Precision) => {
    const trainer = await createTrainer(model, settled, { ...options, precision: compute });
    try {
      trainer.setAdapter(vector);
      const { lossNats } = await trainer.evaluate(examples);
      return { lossNats, gradient: await trainer.gradients(examples) };
    } finally {
      trainer.destroy();
    }
  };
  const exact = await measure('f32');
  const rounded = await measure(precision);
  const check: PrecisionCheck = {
    precision,
    lossDifference: Math.abs(rounded.lossNats - exact.lossNats) / Math.abs(exact.lossNats),
    ...compareGradients(rounded.gradient, exact.gradient),
  };
  const { lossDifference, gradientCosine } = check;
  if (lossDifference <= MAX_LOSS_DIFFERENCE && gradientCosine >= MIN_GRADIENT_COSINE) return check; // NaN does not pass
  throw new ModelError(
    'imprecise',
    `precision ${precision} does not keep ${model.label}: the loss differs by ${lossDifference.toExponential(1)} from ` +
      `f32's (at most ${MAX_LOSS_DIFFERENCE}), the gradient's cosine is ${gradientCosine.toFixed(5)} ` +
      `(at least ${MIN_GRADIENT_COSINE}): train in f32`,
  );
}

/** An adapter whose B is small instead of zero, as after some steps, so that gradients flow into A as well. */
function trainedLooking(model: Model, lora: LoraConfig): Float32Array<ArrayBuffer> {
  const layout = adapterLayout(model.config, lora);
  const vector = initAdapter(layout, 1);
  for (const { matrix, offset, shape } of layout.tensors) {
    if (matrix === 'A') continue;
    for (let i = offset; i < offset + shape[0] * shape[1]; i++) vector[i] = 0.04 * (uniform(2, i) - 0.5);
  }
  return vector;
}

function compareGradients(
  actual: Float32Array,
  exact: Float32Array,
): Pick<PrecisionCheck, 'gradientCosine' | 'gradientRelativeL2'> {
  let [product, ofActual, ofExact, difference] = [0, 0, 0, 0];
  exact.forEach((expected, i) => {
    const got = actual[i] ?? Number.NaN;
    product += got * expected;
    ofActual += got ** 2;
    ofExact += expected ** 2;
    difference += (got - expected) ** 2;
  });
  const zero = ofActual === 0 || ofExact === 0; // a precision that rounds everything to zero must not divide by it
  return {
    gradientCosine: zero ? Number(ofActual === ofExact) : product / Math.sqrt(ofActual * ofExact),
    gradientRelativeL2: difference === 0 ? 0 : Math.sqrt(difference / ofExact),
  };
}
