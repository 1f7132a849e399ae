import { type AlgorithmForm, algorithmForms } from '@cotune/fl-core';
import { type ModelRef, type RunConfigInput, runConfig } from '@cotune/fl-core/protocol';
import { explainIssue, type Problems, togetherProblems } from './form-problems.ts';
import { PRESETS } from './presets.ts';

/** Values of a form by field name; NaN for what is no number. */
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
      dpo: { beta: 0.1 },
      lora: {},
      participants: {},
      ...preset?.config,
      ...(evaluationId ? { evaluationId } : {}),
    },
  };
}

/** The configuration, or the problems by field path ("lora.rank", "algorithm.hyper.mu"). */
export function parseForm(form: RunForm): { config: RunConfigInput } | { problems: Problems } {
  const algorithm = { id: form.algorithmId, hyper: form.hyper } as RunConfigInput['algorithm'];
  const input: RunConfigInput = { ...form.config, algorithm };
  const parsed = runConfig.safeParse(input);
  const problems = parsed.success
    ? togetherProblems(parsed.data)
    : Object.fromEntries(parsed.error.issues.map((issue) => [issue.path.join('.'), explainIssue(issue)]));
  return Object.keys(problems).length > 0 ? { problems } : { config: input };
}
