import { algorithmSettings, partitionSettings } from '@cotune/fl-core';
import { impossibleSettings, type RunConfig, runConfig } from '@cotune/fl-core/protocol';
import { z } from 'zod';
import { unknownKeys } from '../cli/run-settings.ts';

const positive = z.number().int().positive();
const name = z.string().min(1);

/** How the rows of one source are read. */
const source = z.strictObject({
  /** A path relative to the configuration, 'demo' or 'demo-test' (the embedded data), 'preset:ID', or an http(s) address. */
  from: name,
  /** Takes so many rows, chosen by the seed of the data, in the order of the file. */
  maxRows: positive.optional(),
  /** Which columns to read, when their names say nothing. */
  mapping: z
    .union(
      [
        z.strictObject({ prompt: name, response: name }),
        z.strictObject({ prompt: name, chosen: name, rejected: name }),
      ],
      {
        error: 'expected {"prompt", "response"}, or for preference pairs {"prompt", "chosen", "rejected"}',
      },
    )
    .optional(),
  dropColumns: z.array(name).optional(),
  /** What makes two rows the same, of which the first is kept. */
  dedupe: z.enum(['row', 'prompt', 'none']).optional(),
  responseNames: z.record(z.string(), z.string()).optional(),
});
export type SourceSettings = z.infer<typeof source>;

const data = z.strictObject({
  /** With `clients`, a source is dealt to that many clients of its own; without, the rows of all sources are dealt together. */
  train: z.array(source.extend({ clients: positive.optional() })).min(1),
  heldOut: z
    .union([source, z.strictObject({ share: z.number().gt(0).lt(1) })], {
      error: 'expected {"from": …} or {"share": a number between 0 and 1}',
    })
    .optional(),
  /** Seeds what is the same in every cell: the rows that `maxRows` takes, and those that `share` holds out. */
  seed: z.number().int().nonnegative().default(0),
});

/** What of a run's settings belongs to the experiment, to its cells or to the simulation itself. */
const run = runConfig
  .omit({
    name: true,
    modelId: true,
    seed: true,
    algorithm: true,
    participants: true,
    autoStart: true,
    roundDeadlineMs: true,
    graceMs: true,
    evaluationId: true,
    startAdapter: true,
  })
  .extend({ lora: runConfig.shape.lora.prefault({}) })
  .strict();
export type ExperimentRun = z.infer<typeof run>;

/** What of a live run's settings an experiment with the same settings would have. */
export const experimentRunOf = (config: RunConfig): ExperimentRun => run.strip().parse(config);

const seed = z.number().int().nonnegative();
const unique = <T>(items: readonly T[]): boolean => new Set(items).size === items.length;

/** Trainings beside the federations: each client alone in the rounds for which they draw it, alone in every round, all rows in one hand. */
const baseline = z.enum(['local', 'local-every-round', 'pooled']);
export type Baseline = z.infer<typeof baseline>;

/** A simulated experiment: every algorithm and baseline with every seed. */
export const experimentConfig = z
  .strictObject({
    name: z.string().min(1).max(120),
    description: z.string().optional(),
    /** 'demo', a model directory (relative to the configuration), an address, or a hub id. */
    model: z.string().min(1),
    /** Weights of a Hugging Face model. */
    dtype: z.enum(['int8', 'f32']).default('int8'),
    /** PEFT directory (relative to the configuration), or the weights in one, that every cell starts from; left out, each makes an adapter from its seed. */
    adapter: name.optional(),
    data,
    /** Left out, the sum of the sources' own. */
    clients: positive.max(100_000).optional(),
    partition: partitionSettings.default({ kind: 'iid' }),
    run: run.prefault({}),
    /** Clients drawn for a round; all when absent. */
    perRound: positive.optional(),
    algorithms: z.array(algorithmSettings).default([]),
    baselines: z.array(baseline).refine(unique, 'expected each baseline once').default([]),
    seeds: z.array(seed).min(1).refine(unique, 'expected each seed once'),
  })
  .superRefine((config, context) => {
    const refuse = (path: (string | number)[], message: string) => context.addIssue({ code: 'custom', path, message });
    const { train } = config.data;
    const own = train.filter((one) => one.clients !== undefined);
    if (own.length > 0 && own.length < train.length)
      refuse(['data', 'train'], 'got `clients` at some sources, expected it at all of them or at none');
    const sum = own.reduce((total, one) => total + (one.clients ?? 0), 0);
    if (own.length === 0 && config.clients === undefined)
      refuse(['clients'], 'expected how many clients share the rows');
    if (own.length > 0 && config.clients !== undefined && config.clients !== sum)
      refuse(['clients'], `got ${config.clients}, expected ${sum}, the sum of the sources’ own, or nothing`);
    const clients = config.clients ?? sum;
    if (config.perRound !== undefined && config.perRound > clients)
      refuse(['perRound'], `got ${config.perRound}, expected at most the ${clients} clients`);
    if (config.algorithms.length + config.baselines.length === 0)
      refuse(['algorithms'], 'expected at least one algorithm or baseline');
    config.algorithms.forEach(({ id }, i) => {
      if (id === 'local') refuse(['algorithms', i, 'id'], 'got local, which is a baseline: expected it in `baselines`');
    });
  });
export type ExperimentConfig = z.infer<typeof experimentConfig>;
export type ExperimentConfigInput = z.input<typeof experimentConfig>;

/** Clients of the whole experiment. */
export const clientsOf = ({ clients, data }: ExperimentConfig): number =>
  clients ?? data.train.reduce((sum, one) => sum + (one.clients ?? 0), 0);

/** The first thing that is wrong with a configuration, in a sentence that names the setting; null when nothing is. */
export function parseExperiment(
  settings: unknown,
): { readonly ok: true; readonly config: ExperimentConfig } | { readonly ok: false; readonly message: string } {
  const parsed = experimentConfig.safeParse(settings);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    if (issue?.code === 'unrecognized_keys') {
      const setting = [...issue.path, issue.keys[0]].join('.');
      return { ok: false, message: `there is no setting "${setting}": check its spelling` };
    }
    return { ok: false, message: `${issue?.path.join('.') || 'settings'}: ${issue?.message}` };
  }
  const [unknown] = unknownKeys(settings, parsed.data);
  if (unknown !== undefined) return { ok: false, message: `there is no setting "${unknown}": check its spelling` };
  const [impossible] = impossibleSettings(anyRunOf(parsed.data));
  if (impossible) return { ok: false, message: `run.${impossible.path}: ${impossible.message}` };
  return { ok: true, config: parsed.data };
}

/** A run with the settings that all runs of the experiment have. */
const anyRunOf = (config: ExperimentConfig): RunConfig => {
  const max = clientsOf(config);
  const own = { name: config.name, modelId: 'any', algorithm: { id: 'fedavg' }, participants: { min: 1, max } };
  return runConfig.parse({ ...config.run, ...own });
};
