import { createRng } from '../rng.ts';
import type { ParseOptions } from './parse-dataset.ts';

/** A public data set by name: where it is, how it is read, and what published federated runs take of it. */
export interface Preset {
  readonly id: string;
  readonly title: string;
  readonly task: 'sft' | 'dpo';
  /** Files on the Hugging Face hub, together the training split. */
  readonly files: readonly PresetFile[];
  /** As its data card names it, an SPDX id where there is one; null when the card names none. Parts may have their own. */
  readonly licence: string | null;
  /** How its rows are read, for `parseDataset` or `parsePreferences`. Published runs keep duplicates but for MathInstruct. */
  readonly parse: Pick<ParseOptions, 'dropColumns' | 'dedupe'>;
  /** In the files, before anything is dropped. Data sets are revised: another number is a reason to look, not an error. */
  readonly rowsExpected: number;
  /** Rows that runs take after shuffling. */
  readonly sample: number;
  readonly splitSeed: number;
  /** Experiments that train on it, by their file's name. */
  readonly usedBy: readonly string[];
}

export interface PresetFile {
  /** Data set on the hub, owner/name. */
  readonly repository: string;
  readonly path: string;
}

const hub = (repository: string, ...paths: string[]): PresetFile[] => paths.map((path) => ({ repository, path }));

// OpenFedLLM (Ye et al. 2024, KDD, arXiv 2402.06954) shuffles every set with seed 2023 and takes its first 20 000 rows.
const published = { sample: 20_000, splitSeed: 2023 } as const;

const MATH_SUBJECTS = [
  'algebra',
  'counting_and_probability',
  'geometry',
  'intermediate_algebra',
  'number_theory',
  'prealgebra',
  'precalculus',
];

/** The sets that OpenFedLLM's published code trains on. Formats and columns follow its processing; see docs/datasets.md. */
export const PRESETS: readonly Preset[] = [
  {
    ...published,
    id: 'alpaca',
    title: 'Stanford Alpaca: instructions answered by text-davinci-003',
    task: 'sft',
    files: hub('tatsu-lab/alpaca', 'data/train-00000-of-00001-a09b74b3ef9c3b56.parquet'),
    licence: 'CC-BY-NC-4.0',
    parse: { dedupe: 'none' },
    rowsExpected: 52_002,
    usedBy: [],
  },
  {
    ...published,
    id: 'alpaca-gpt4',
    title: 'Alpaca-GPT4: the same instructions answered by GPT-4',
    task: 'sft',
    files: hub('vicgalle/alpaca-gpt4', 'data/train-00000-of-00001-6ef3991c06080e14.parquet'),
    licence: 'CC-BY-NC-4.0',
    parse: { dedupe: 'none' },
    rowsExpected: 52_002,
    usedBy: ['general', 'multi-domain'],
  },
  {
    ...published,
    id: 'alpaca-cleaned',
    title: 'Alpaca, cleaned of wrong and empty answers',
    task: 'sft',
    files: hub('yahma/alpaca-cleaned', 'alpaca_data_cleaned.json'),
    licence: 'CC-BY-4.0',
    parse: { dedupe: 'none' },
    rowsExpected: 51_760,
    usedBy: [],
  },
  {
    ...published,
    id: 'wizardlm',
    title: 'WizardLM Evol-Instruct 70k',
    task: 'sft',
    files: hub('WizardLMTeam/WizardLM_evol_instruct_70k', 'alpaca_evol_instruct_70k.json'),
    licence: 'MIT',
    parse: { dedupe: 'none' },
    rowsExpected: 70_000,
    usedBy: [],
  },
  {
    ...published,
    id: 'code-alpaca',
    title: 'CodeAlpaca 20k: programming instructions',
    task: 'sft',
    files: hub('sahil2801/CodeAlpaca-20k', 'code_alpaca_20k.json'),
    licence: 'CC-BY-4.0',
    parse: { dedupe: 'none' },
    rowsExpected: 20_022,
    usedBy: ['code', 'multi-domain'],
  },
  {
    ...published,
    id: 'fingpt-sentiment',
    title: 'FinGPT: sentiment of financial news',
    task: 'sft',
    files: hub('FinGPT/fingpt-sentiment-train', 'data/train-00000-of-00001-dabab110260ac909.parquet'),
    licence: null,
    parse: { dedupe: 'none' },
    rowsExpected: 76_772,
    usedBy: ['finance', 'multi-domain'],
  },
  {
    ...published,
    id: 'finance-alpaca',
    title: 'Finance Alpaca: questions on money',
    task: 'sft',
    files: hub('gbharti/finance-alpaca', 'Cleaned_date.json'),
    licence: null,
    parse: { dedupe: 'none' },
    rowsExpected: 68_912,
    usedBy: [],
  },
  {
    ...published,
    id: 'medalpaca-flashcards',
    title: 'MedAlpaca: medical flashcards',
    task: 'sft',
    files: hub('medalpaca/medical_meadow_medical_flashcards', 'medical_meadow_wikidoc_medical_flashcards.json'),
    licence: 'CC',
    // The instruction is the same sentence in every row; the question is the input.
    parse: { dropColumns: ['instruction'], dedupe: 'none' },
    rowsExpected: 33_955,
    usedBy: ['medical'],
  },
  {
    ...published,
    id: 'math-instruct',
    title: 'MathInstruct (MAmmoTH): mathematics with worked answers',
    task: 'sft',
    files: hub('TIGER-Lab/MathInstruct', 'MathInstruct.json'),
    licence: 'MIT',
    parse: { dedupe: 'prompt' },
    rowsExpected: 262_039,
    usedBy: ['math', 'multi-domain'],
  },
  {
    ...published,
    id: 'math',
    title: 'MATH: competition mathematics, training split',
    task: 'sft',
    files: hub(
      'EleutherAI/hendrycks_math',
      ...MATH_SUBJECTS.map((subject) => `${subject}/train-00000-of-00001.parquet`),
    ),
    licence: 'MIT',
    parse: { dedupe: 'none' },
    rowsExpected: 7500,
    usedBy: [],
  },
  {
    ...published,
    id: 'gsm8k',
    title: 'GSM8K: grade-school mathematics, training split',
    task: 'sft',
    files: hub('openai/gsm8k', 'main/train-00000-of-00001.parquet'),
    licence: 'MIT',
    parse: { dedupe: 'none' },
    rowsExpected: 7473,
    usedBy: [],
  },
  {
    ...published,
    id: 'ultrafeedback',
    title: 'UltraFeedback, binarised: preferences for helpful answers',
    task: 'dpo',
    files: hub('HuggingFaceH4/ultrafeedback_binarized', 'data/train_sft-00000-of-00001.parquet'),
    licence: 'MIT',
    parse: { dedupe: 'none' },
    rowsExpected: 61_135,
    usedBy: ['dpo-helpful'],
  },
  {
    ...published,
    id: 'hh-rlhf',
    title: 'Anthropic HH-RLHF: preferences for helpful and harmless answers',
    task: 'dpo',
    files: hub(
      'Anthropic/hh-rlhf',
      'harmless-base/train.jsonl.gz',
      'helpful-base/train.jsonl.gz',
      'helpful-online/train.jsonl.gz',
      'helpful-rejection-sampled/train.jsonl.gz',
    ),
    licence: 'MIT',
    parse: { dedupe: 'none' },
    rowsExpected: 160_800,
    usedBy: ['dpo-harmless'],
  },
];

export const presetById = (id: string): Preset | undefined => PRESETS.find((preset) => preset.id === id);

/** Where a file is downloaded; `endpoint` is the hub's address or that of a mirror. */
export function presetFileUrl({ repository, path }: PresetFile, endpoint = 'https://huggingface.co'): string {
  return `${endpoint.replace(/\/$/, '')}/datasets/${repository}/resolve/main/${path}`;
}

/**
 * The rows that a published run trains on: shuffled by the preset's seed, and the first `sample` taken (the preset's own
 * number unless given). Published code shuffles with NumPy's generator, ours is another: as many rows of the same set, but
 * not the same ones.
 */
export function presetRows<Row>(
  preset: Pick<Preset, 'id' | 'splitSeed' | 'sample'>,
  rows: readonly Row[],
  sample: number = preset.sample,
): Row[] {
  return createRng(`${preset.splitSeed}/preset/${preset.id}`).shuffle(rows).slice(0, sample);
}
