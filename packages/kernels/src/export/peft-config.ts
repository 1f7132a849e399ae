import { z } from 'zod';
import { LORA_TARGETS, type LoraConfig, type LoraTarget } from '../lora/layout.ts';
import { ModelFileError } from '../quantize/error.ts';
import { parseJson, parseWith } from '../quantize/read-file.ts';

export const PEFT_CONFIG = 'adapter_config.json';

const empty = z.record(z.string(), z.unknown()).nullish();
const peftConfig = z.object({
  peft_type: z.string(),
  task_type: z.string().nullish(),
  base_model_name_or_path: z.string().nullish(),
  r: z.number().int().positive(),
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).lt(1).default(0),
  target_modules: z.union([z.array(z.string()), z.string()]),
  bias: z.string().default('none'),
  fan_in_fan_out: z.boolean().nullish(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  rank_pattern: empty,
  alpha_pattern: empty,
  modules_to_save: z.array(z.string()).nullish(),
  layers_to_transform: z.union([z.array(z.number()), z.number()]).nullish(),
});

/** Reads adapter_config.json. Throws ModelFileError 'malformed', or 'unsupported-architecture' naming the field. */
export function parsePeftConfig(text: string): { config: LoraConfig; baseModel: string | null } {
  const c = parseWith(peftConfig, parseJson(text, PEFT_CONFIG), PEFT_CONFIG);
  const refuse = (field: string, got: unknown, expected: string): never => {
    throw new ModelFileError(
      'unsupported-architecture',
      PEFT_CONFIG,
      `${field}: got ${JSON.stringify(got)}, expected ${expected}`,
    );
  };
  if (c.peft_type !== 'LORA') refuse('peft_type', c.peft_type, '"LORA"');
  if (c.task_type && c.task_type !== 'CAUSAL_LM') refuse('task_type', c.task_type, '"CAUSAL_LM"');
  if (c.bias !== 'none') refuse('bias', c.bias, '"none"');
  for (const field of ['fan_in_fan_out', 'use_rslora', 'use_dora'] as const) {
    if (c[field]) refuse(field, true, 'false');
  }
  for (const field of ['rank_pattern', 'alpha_pattern', 'modules_to_save', 'layers_to_transform'] as const) {
    const value = c[field];
    if (typeof value === 'number' || (value && Object.keys(value).length > 0)) refuse(field, value, 'none');
  }
  const names = c.target_modules === 'all-linear' ? [...LORA_TARGETS] : c.target_modules;
  if (typeof names === 'string') return refuse('target_modules', names, 'a list of module names');
  for (const name of names) {
    if (!isTarget(name)) refuse('target_modules', name, `names among ${LORA_TARGETS.join(', ')}`);
  }
  const targets = LORA_TARGETS.filter((target) => names.includes(target));
  if (targets.length === 0) refuse('target_modules', names, 'at least one module');
  const config = { rank: c.r, alpha: c.lora_alpha, dropout: c.lora_dropout, targets };
  return { config, baseModel: c.base_model_name_or_path ?? null };
}

/** adapter_config.json as PEFT writes it for a LoRA of a causal language model. */
export function formatPeftConfig({ rank, alpha, dropout, targets }: LoraConfig, baseModel: string): string {
  const config = {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: alpha,
    lora_dropout: dropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r: rank,
    rank_pattern: {},
    revision: null,
    target_modules: targets,
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: false,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

function isTarget(name: string): name is LoraTarget {
  return (LORA_TARGETS as readonly string[]).includes(name);
}
