import { type AlgorithmForm, algorithmForms } from '@cotune/fl-core';
import { type ModelRef, type RunConfigInput, runConfig } from '@cotune/fl-core/protocol';

/** Values of a form by field name. */
export type FieldValues = Readonly<Record<string, string | number | boolean>>;

/** What the run form holds; `parseForm` makes a configuration of it. */
export interface RunForm {
  readonly algorithmId: AlgorithmForm['id'];
  readonly hyper: FieldValues;
  readonly config: Omit<RunConfigInput, 'algorithm'>;
}

export const ALGORITHM_FORMS = algorithmForms();

/** Start values of an algorithm's hyperparameters. */
export function hyperDefaults(form: AlgorithmForm): FieldValues {
  return Object.fromEntries(form.fields.flatMap(({ name, default: value }) => (value === null ? [] : [[name, value]])));
}

export interface Preset {
  readonly id: string;
  readonly title: string;
  readonly config: Partial<RunForm['config']>;
}

/** Settings that are known to work: the embedded demo model (as in its demo-run.json, which a test compares), and the paper's instruction tuning for a 7B Llama. */
export const PRESETS: readonly Preset[] = [
  {
    id: 'demo',
    title: 'Demo: news sentiment in a minute',
    config: {
      rounds: 3,
      steps: 12,
      batchSize: 16,
      maxSeqLength: 32,
      learningRate: 1e-2,
      minLearningRate: 1e-6,
      template: 'plain',
      lora: {
        rank: 8,
        alpha: 16,
        dropout: 0,
        targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
      },
      participants: { min: 3, max: 3 },
      autoStart: true,
      roundDeadlineMs: 600_000,
      graceMs: 60_000,
    },
  },
  {
    id: 'instruct',
    title: 'Instruction tuning of a large Llama',
    config: {
      rounds: 200,
      steps: 10,
      batchSize: 16,
      maxSeqLength: 512,
      learningRate: 5e-5,
      minLearningRate: 1e-6,
      template: 'alpaca',
      lora: { rank: 32, alpha: 64, dropout: 0.05, targets: ['q_proj', 'v_proj'] },
      participants: { min: 2, max: 20 },
      autoStart: false,
      roundDeadlineMs: 3_600_000,
      graceMs: 60_000,
    },
  },
];

/** The first values of the form: the demo's where its model is there. */
export function initialForm(models: readonly ModelRef[], evaluations: readonly { readonly id: string }[]): RunForm {
  const model = models[0];
  const preset = PRESETS[model?.allowSoftware ? 0 : 1];
  const algorithm = ALGORITHM_FORMS[0];
  if (!algorithm) throw new Error('the registry has no algorithm');
  const evaluationId = model?.allowSoftware ? evaluations[0]?.id : undefined;
  return {
    algorithmId: algorithm.id,
    hyper: hyperDefaults(algorithm),
    config: {
      name: '',
      modelId: model?.id ?? '',
      seed: 1,
      lora: {},
      participants: {},
      ...preset?.config,
      ...(evaluationId ? { evaluationId } : {}),
    },
  };
}

/** The configuration, or the problems by field path ("lora.rank"). */
export function parseForm(form: RunForm): { config: RunConfigInput } | { problems: Readonly<Record<string, string>> } {
  const algorithm = { id: form.algorithmId, hyper: form.hyper } as RunConfigInput['algorithm'];
  const input: RunConfigInput = { ...form.config, algorithm };
  const parsed = runConfig.safeParse(input);
  if (parsed.success) return { config: input };
  return { problems: Object.fromEntries(parsed.error.issues.map(({ path, message }) => [path.join('.'), message])) };
}
