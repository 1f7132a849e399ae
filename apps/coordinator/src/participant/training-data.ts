import {
  type DataRow,
  type LocalTrainer,
  type ParseOptions,
  type PreferenceRow,
  parseDataset,
  parsePreferences,
  type RejectedRow,
  type RunConfig,
  type TokeniseOptions,
  type Tokenizer,
  tokenizePairs,
  tokenizeRows,
} from '@cotune/fl-core';
import {
  type CheckpointStore,
  type PairProgress,
  type PairStepRecord,
  type PreferencePair,
  type Resumption,
  type StepRecord,
  type TokenizedExample,
  type TrainerHost,
  trainPairsResumably,
  trainResumably,
} from '@cotune/kernels';

// What differs between the tasks on the side that trains: how a data file is read, what a row becomes, and which loop it
// goes through. `cotune join`, `cotune simulate` and the demo's baseline use it alike.

/** Rows as they were read, before any model. */
export type TaskRows =
  | { readonly task: 'sft'; readonly rows: readonly DataRow[] }
  | { readonly task: 'dpo'; readonly rows: readonly PreferenceRow[] };

export type ParsedRows = TaskRows & { readonly format: string | null; readonly rejected: readonly RejectedRow[] };

/** What a model is trained on; the rows of `cotune join` never leave it. */
export type TrainingData =
  | { readonly task: 'sft'; readonly examples: readonly TokenizedExample[] }
  | { readonly task: 'dpo'; readonly pairs: readonly PreferencePair[] };

/** A data file in any format of the task. Bad rows are rejected with their line; throws DataError for a file that is none. */
export async function parseRows(
  task: RunConfig['task'],
  bytes: Uint8Array,
  options: ParseOptions,
): Promise<ParsedRows> {
  if (task === 'dpo') {
    const { rows, format, rejected } = await parsePreferences(bytes, options);
    return { task, rows, format, rejected };
  }
  const { rows, format, rejected } = await parseDataset(bytes, options);
  return { task, rows, format, rejected };
}

/** How rows become tokens: a run's configuration with its template opened (`openModelText`). */
export type TokeniseConfig = Pick<RunConfig, 'dpo' | 'maxSeqLength'> & Pick<TokeniseOptions, 'template'>;

export interface TokenisedRows {
  readonly data: TrainingData;
  /** The rows that were kept: kept.rows[i] became example or pair i. */
  readonly kept: TaskRows;
  readonly rejected: readonly RejectedRow[];
  readonly truncatedRows: number;
}

/** Rows as the model takes them, cut and templated as `config` says. Nothing usable gives no examples, not an error. */
export function tokeniseTraining(
  given: TaskRows,
  { dpo, template, maxSeqLength }: TokeniseConfig,
  tokenizer: Tokenizer,
): TokenisedRows {
  if (given.task === 'dpo') {
    const { maxPromptLength } = dpo;
    const { pairs, rows, ...rest } = tokenizePairs(given.rows, { template, tokenizer, maxSeqLength, maxPromptLength });
    return { data: { task: 'dpo', pairs }, kept: { task: 'dpo', rows }, ...rest };
  }
  const { examples, rows, ...rest } = tokenizeRows(given.rows, { template, tokenizer, maxSeqLength });
  return { data: { task: 'sft', examples }, kept: { task: 'sft', rows }, ...rest };
}

/** The rows at these indices, in their order. Throws RangeError for an index without a row. */
export function selectRows(given: TaskRows, indices: readonly number[]): TaskRows {
  const of = <Row>(rows: readonly Row[]): Row[] =>
    indices.map((index) => {
      const row = rows[index];
      if (row === undefined) throw new RangeError(`row ${index} of ${rows.length}`);
      return row;
    });
  return given.task === 'dpo' ? { task: 'dpo', rows: of(given.rows) } : { task: 'sft', rows: of(given.rows) };
}

/** Rows that a round can draw from: examples, or pairs. */
export function rowCount(data: TrainingData): number {
  return data.task === 'dpo' ? data.pairs.length : data.examples.length;
}

export interface LocalTrainerOptions {
  /** Where the step at hand survives this process; without it a round begins anew after a restart. */
  readonly checkpoints?: CheckpointStore;
  readonly onNotice?: (message: string) => void;
  /** How far the base model is with pairs that a round meets more than once, before its first step. */
  readonly onReference?: PairProgress['onProgress'];
}

/**
 * The engine as the participant logic wants it, for either task. μ and drift of the algorithm's rule act on both. A lost GPU
 * is opened again and a round goes on at the step it had reached.
 */
export function taskTrainer(
  host: TrainerHost,
  data: TrainingData,
  { dpo }: Pick<RunConfig, 'dpo'>,
  options: LocalTrainerOptions = {},
): LocalTrainer {
  const resumption = resumptionOf(options);
  return {
    train({ rule, seed, onStep, ...job }) {
      const course = { ...job, ...rule, ...resumption, dropoutSeed: seed };
      if (data.task === 'sft') {
        return trainResumably(host, data.examples, { ...course, onStep: (record) => onStep(common(record)) });
      }
      return trainPairsResumably(host, data.pairs, {
        ...course,
        beta: dpo.beta,
        onReference: options.onReference,
        onStep: ({ rewardAccuracy, rewardMargin, ...record }) =>
          onStep({ ...common(record), rewards: { accuracy: rewardAccuracy, margin: rewardMargin } }),
      });
    },
  };
}

type CommonRecord = Pick<StepRecord & PairStepRecord, 'step' | 'lossNats' | 'gradNorm' | 'tokens' | 'seconds'>;

const common = ({ step, lossNats, gradNorm, tokens, seconds }: CommonRecord) => ({
  step: step + 1,
  lossNats,
  gradNorm,
  tokensPerSecond: tokens / seconds,
  ms: seconds * 1000,
});

function resumptionOf({ checkpoints, onNotice }: LocalTrainerOptions): Resumption {
  return {
    store: checkpoints,
    onResumed: (step) => onNotice?.(`going on after step ${step}, where the last process stopped`),
    onRecovered: ({ message }, step) => onNotice?.(`${message}; opened it again, going on after step ${step}`),
    onStoreError: (error) => onNotice?.(`cannot keep a checkpoint: ${(error as Error).message}`),
  };
}
