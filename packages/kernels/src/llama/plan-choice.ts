import type { LoraConfig } from '../lora/layout.ts';
import type { LlamaConfig } from './config.ts';
import { DEFAULT_BINDING_BYTES, type MemoryPlan, type PlanRequest, planMemory } from './plan.ts';
import { leastRows } from './plan-adapter.ts';
import { effectiveFlops, trainingFlops } from './plan-flops.ts';
import type { Plan } from './plan-tensors.ts';

export type PlanErrorCode = 'over-budget' | 'over-limit';

/** No plan fits; `smallest` is what would. */
export class PlanError extends Error {
  readonly code: PlanErrorCode;
  readonly smallest: MemoryPlan;
  constructor(code: PlanErrorCode, smallest: MemoryPlan, message: string) {
    super(message);
    this.name = 'PlanError';
    this.code = code;
    this.smallest = smallest;
  }
}

export interface ChoiceRequest extends Omit<PlanRequest, 'plan' | 'batch' | 'labelRows'> {
  /** 'auto' (default) tries both. */
  readonly plan?: Plan | 'auto' | undefined;
  /** Largest micro-batch to try. Default 2048: more gains little. */
  readonly microBatchTokens?: number | undefined;
  /** Default: no limit. */
  readonly budgetBytes?: number | undefined;
}

/** Tokens of one micro-batch: enough to fill a GPU, little enough for its memory and its watchdog. */
export const MICRO_BATCH_TOKENS = 2048;

/** Sizes tried are this close to each other: an eighth, or a row. */
const MICRO_BATCH_SIZES = 8;

/**
 * The fastest plan that fits the budget and the adapter's largest binding: of micro-batches of microBatchTokens and less, in
 * both plans, the one with the least work a token. Throws PlanError, which says what would fit.
 */
export function choosePlan(config: LlamaConfig, lora: LoraConfig, request: ChoiceRequest): MemoryPlan {
  const { bindingBytes = DEFAULT_BINDING_BYTES, budgetBytes = Number.POSITIVE_INFINITY } = request;
  const plans = candidates(config, lora, request);
  const work = ({ plan, batch, seq }: MemoryPlan): number =>
    effectiveFlops(trainingFlops(config, lora, { seq, plan }), batch * seq);
  const fitting = plans
    .filter(({ largestBuffer, total }) => largestBuffer.bytes <= bindingBytes && total <= budgetBytes)
    .toSorted((a, b) => work(a) - work(b));
  const [best] = fitting;
  if (best) return best;
  const smallest = plans.reduce((a, b) => (b.total < a.total ? b : a));
  const what = `a micro-batch of ${smallest.batch} × ${smallest.seq} tokens with plan ${smallest.plan.toUpperCase()}`;
  if (smallest.total > budgetBytes) {
    throw new PlanError(
      'over-budget',
      smallest,
      `${what} takes ${gibibytes(smallest.total)} of GPU memory, the budget is ${gibibytes(budgetBytes)}: ` +
        `${remedy(config, lora, request, smallest, budgetBytes)}`,
    );
  }
  const { name, bytes } = smallest.largestBuffer;
  throw new PlanError(
    'over-limit',
    smallest,
    `${what} needs ${mebibytes(bytes)} in one buffer for ${name}, but this adapter binds at most ${mebibytes(bindingBytes)}: ` +
      `${name.includes('.') ? 'it needs another adapter, or a smaller model' : 'use shorter rows, flash attention or a smaller adapter'}`,
  );
}

function candidates(config: LlamaConfig, lora: LoraConfig, request: ChoiceRequest): MemoryPlan[] {
  const { seq, plan = 'auto', microBatchTokens = MICRO_BATCH_TOKENS, task = 'sft' } = request;
  const found: MemoryPlan[] = [];
  const least = leastRows(task);
  const most = Math.max(least, Math.floor(microBatchTokens / seq));
  for (let batch = most; batch >= least; batch -= Math.ceil(batch / MICRO_BATCH_SIZES)) {
    for (const own of plan === 'auto' ? (['a', 'b'] as const) : [plan]) {
      found.push(planMemory(config, lora, { ...request, plan: own, batch }));
    }
  }
  return found;
}

/** What to change so that it fits. */
function remedy(
  config: LlamaConfig,
  lora: LoraConfig,
  request: ChoiceRequest,
  smallest: MemoryPlan,
  budgetBytes: number,
): string {
  const raise = `a budget of ${gibibytes(smallest.total)} would do`;
  for (let seq = Math.floor(request.seq / 2); seq >= 16; seq = Math.floor(seq / 2)) {
    const { total } = planMemory(config, lora, {
      ...request,
      seq,
      plan: smallest.plan,
      batch: leastRows(request.task ?? 'sft'),
    });
    if (total <= budgetBytes) return `${raise}, or rows of ${seq} tokens (${gibibytes(total)})`;
  }
  return `${raise}; weights and optimiser alone take ${gibibytes(smallest.weights + smallest.optimizer)}`;
}

function gibibytes(bytes: number): string {
  return bytes < 2 ** 30 ? mebibytes(bytes) : `${(Math.ceil((bytes / 2 ** 30) * 100) / 100).toFixed(2)} GiB`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
