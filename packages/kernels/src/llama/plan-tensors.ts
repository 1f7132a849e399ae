import type { LoraConfig, LoraTarget } from '../lora/layout.ts';
import { LORA_TARGETS } from '../lora/layout.ts';
import { type Precision, planesOf } from '../ops/precision.ts';
import { quantizedRowsElements } from '../ops/quantize_activations.ts';
import type { LlamaConfig } from './config.ts';

/**
 * What a pass leaves behind in every layer for its backward pass.
 * everything: all saves, in f32 (plan A). halves: the same packed in f16, the residual stream xIn in f32 (plan A with f16
 * saves). inputs: xIn alone, from which the layer is computed again (plan B). nothing: there is no backward pass.
 */
export type Keep = 'everything' | 'halves' | 'inputs' | 'nothing';

/** How the saves are kept: a spares the backward pass a second forward pass, b keeps one tensor a layer instead of eight and more. */
export type Plan = 'a' | 'b';

export function keepOf(plan: Plan, precision: Precision): Keep {
  if (plan === 'b') return 'inputs';
  return precision === 'f32' ? 'everything' : 'halves';
}

/** The parts of a layer (and, after the last, the head) in the order of a training step. */
export const STAGES = [
  ...(['qkv', 'attention', 'output', 'mlp', 'head'] as const),
  ...(['mlpBack', 'outputBack', 'attentionBack', 'qkvBack'] as const),
] as const;
export type Stage = (typeof STAGES)[number];

/** What a tensor has one row of. score: an entry of (rows·heads, seq, seq). flashToken: a token, where flash attention is used. */
export type Per = 'token' | 'label' | 'logit' | 'score' | 'flashToken' | 'one';

export interface TensorSpec {
  readonly name: string;
  /** 4-byte elements a row. */
  readonly width: number;
  readonly per: Per;
  /** When it holds something still needed. Tensors that are never live in the same stage share memory. */
  readonly live: readonly Stage[];
}

/** Every tensor of the passes besides weights and adapter: this table both allocates (activations.ts) and plans (plan.ts). */
export interface TensorTable {
  /** One each. */
  readonly single: readonly TensorSpec[];
  /** One for each layer. */
  readonly kept: readonly TensorSpec[];
}

/** What a layer hands on from one stage to another, by the names of LayerSaves; LoRA's z are `z q_proj`, …. */
const PACKED = ['q', 'k', 'v', 'attention', 'xMid', 'gate', 'up'] as const;
export type PackedName = (typeof PACKED)[number];

export interface TableOptions {
  readonly keep: Keep;
  readonly precision: Precision;
  /** Whether some batches run flash attention, whose backward pass reads the attention's output. */
  readonly flash: boolean;
}

const FORWARD: readonly Stage[] = ['qkv', 'attention', 'output', 'mlp'];
const BACKWARD: readonly Stage[] = ['mlpBack', 'outputBack', 'attentionBack', 'qkvBack'];

export function tensorTable(config: LlamaConfig, lora: LoraConfig | null, options: TableOptions): TensorTable {
  const { keep } = options;
  const made = saveSpecs(config, lora, options);
  const saves = made.filter(({ live }) => live.some((stage) => BACKWARD.includes(stage)));
  const xIn = spec('xIn', config.hiddenSize, 'token', FORWARD);
  const always = [...inputSpecs(), ...headSpecs(config, lora), ...scratchSpecs(config, lora, options)];
  const gradients = keep === 'nothing' ? [] : gradientSpecs(config, lora, keep);
  switch (keep) {
    case 'everything':
      return { single: [...always, ...gradients, ...made.filter((s) => !saves.includes(s))], kept: [xIn, ...saves] };
    case 'halves': {
      const small = saves.filter(({ name }) => !isPacked(name));
      const wide = saves.filter(({ name }) => isPacked(name));
      const halves = wide.map((s) => ({ ...s, name: halfName(s.name), width: s.width / 2 }));
      return {
        single: [...always, ...gradients, ...made.filter((s) => !small.includes(s))],
        kept: [xIn, ...small, ...halves],
      };
    }
    case 'inputs': {
      const small = saves.filter(({ name }) => name === zName('down_proj')); // what is above it is not computed again
      return { single: [...always, ...gradients, ...made.filter((s) => !small.includes(s))], kept: [xIn, ...small] };
    }
    case 'nothing':
      return { single: [...always, xIn, ...made], kept: [] };
    default:
      return keep satisfies never;
  }
}

export function halfName(name: string): string {
  return `${name} half`;
}

function isPacked(name: string): name is PackedName {
  return (PACKED as readonly string[]).includes(name);
}

function spec(name: string, width: number, per: Per, live: readonly Stage[]): TensorSpec {
  return { name, width, per, live };
}

/** What one layer leaves for its backward pass. With 'inputs' it lives on until there; packed, it comes back for it. */
function saveSpecs(config: LlamaConfig, lora: LoraConfig | null, { keep, flash }: TableOptions): TensorSpec[] {
  const { hiddenSize, intermediateSize, kvHeads, headDim, heads } = config;
  const has = (target: LoraTarget) => lora?.targets.includes(target) ?? false;
  const live = (first: Stage, last: Stage, back: readonly Stage[]): Stage[] => {
    const forward = between(first, last);
    const final = back.at(-1);
    if (keep === 'nothing' || !final) return forward;
    return keep === 'inputs' ? between(first, final) : [...forward, ...back];
  };
  const attentionBack: Stage[] = [
    ...(has('o_proj') ? ['outputBack' as const] : []),
    ...(flash ? ['attentionBack' as const] : []),
  ];
  const kvSize = kvHeads * headDim;
  return [
    spec('q', heads * headDim, 'token', live('qkv', 'attention', ['attentionBack'])),
    spec('k', kvSize, 'token', live('qkv', 'attention', ['attentionBack'])),
    spec('v', kvSize, 'token', live('qkv', 'attention', ['attentionBack'])),
    spec('lse', heads, 'flashToken', live('attention', 'attention', ['attentionBack'])),
    spec('attention', heads * headDim, 'token', live('attention', 'output', attentionBack)),
    spec('xMid', hiddenSize, 'token', live('output', 'mlp', ['mlpBack'])),
    spec('gate', intermediateSize, 'token', live('mlp', 'mlp', ['mlpBack'])),
    spec('up', intermediateSize, 'token', live('mlp', 'mlp', ['mlpBack'])),
    ...LORA_TARGETS.filter(has).map((target) =>
      spec(
        zName(target),
        lora?.rank ?? 0,
        'token',
        live('qkv', 'mlp', ['mlpBack', 'outputBack', 'attentionBack', 'qkvBack']),
      ),
    ),
  ];
}

export function zName(target: LoraTarget): string {
  return `z ${target}`;
}

/** Uploaded before a pass, or read back after it. */
function inputSpecs(): TensorSpec[] {
  const tokens = ['ids', 'positions', 'segments'].map((name) => spec(name, 1, 'token', STAGES));
  const labels = ['labelIndex', 'labels', 'labelExample', 'loss', 'correct'].map((name) =>
    spec(name, 1, 'label', STAGES),
  );
  return [...tokens, ...labels];
}

/** The labelled positions alone, from the last layer's attention upwards. */
function headSpecs(config: LlamaConfig, lora: LoraConfig | null): TensorSpec[] {
  const { hiddenSize, heads, headDim, vocabSize } = config;
  const learnt = lora?.targets.includes('o_proj');
  return [
    spec('labelAttention', heads * headDim, 'label', learnt ? between('output', 'outputBack') : ['output']),
    spec('labelX', hiddenSize, 'label', ['output']),
    spec('xOut', hiddenSize, 'label', ['mlp', 'head']),
    spec('labelH', hiddenSize, 'label', ['head']),
    spec('logits', vocabSize, 'logit', ['head']),
  ];
}

function scratchSpecs(config: LlamaConfig, lora: LoraConfig | null, { keep, precision }: TableOptions): TensorSpec[] {
  const { hiddenSize, intermediateSize, heads, headDim } = config;
  const back = (...stages: Stage[]): Stage[] => (keep === 'nothing' ? [] : stages);
  const specs = [
    spec('h', hiddenSize, 'token', ['qkv', 'mlp', ...back('mlpBack', 'qkvBack')]),
    spec('active', intermediateSize, 'token', ['mlp', ...(lora?.targets.includes('down_proj') ? back('mlpBack') : [])]),
    spec('probs', 1, 'score', ['attention', ...back('attentionBack')]),
  ];
  const planes = planesOf(precision);
  if (planes) {
    const inputs = Math.max(hiddenSize, intermediateSize, heads * headDim);
    const [one, two] = [quantizedRowsElements(1, inputs, planes), quantizedRowsElements(2, inputs, planes)];
    for (const name of Object.keys(one) as (keyof typeof one)[]) {
      const perRow = two[name] - one[name];
      specs.push(spec(`int8 ${name}`, perRow || one[name], perRow > 0 ? 'token' : 'one', [...FORWARD, 'head']));
    }
  }
  return specs;
}

/** `d` + name is the loss's derivative by that name. d(gate) and d(up) take the places of gate and up. */
function gradientSpecs(config: LlamaConfig, lora: LoraConfig | null, keep: Keep): TensorSpec[] {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim } = config;
  const [qSize, kvSize] = [heads * headDim, kvHeads * headDim];
  return [
    // Between two layers' backward passes plan B computes the lower one's forward again.
    spec('dx', hiddenSize, 'token', keep === 'inputs' ? [...FORWARD, ...BACKWARD] : BACKWARD),
    spec('dh', hiddenSize, 'token', ['mlpBack', 'qkvBack']),
    spec('dactive', intermediateSize, 'token', ['mlpBack']),
    spec('dattention', qSize, 'token', ['outputBack', 'attentionBack']),
    spec('dprobs', 1, 'score', ['attentionBack']),
    spec('delta', 2 * heads, 'flashToken', ['attentionBack']),
    spec('dq', qSize, 'token', ['attentionBack', 'qkvBack']),
    spec('dk', kvSize, 'token', ['attentionBack', 'qkvBack']),
    spec('dv', kvSize, 'token', ['attentionBack', 'qkvBack']),
    spec('dz', lora?.rank ?? 0, 'token', BACKWARD),
    spec('dlabelX', hiddenSize, 'label', ['head', 'mlpBack', 'outputBack']),
    spec('dlabelH', hiddenSize, 'label', ['head']),
    spec('dlabelAttention', qSize, 'label', ['outputBack']),
  ];
}

function between(first: Stage, last: Stage): Stage[] {
  return STAGES.slice(STAGES.indexOf(first), STAGES.indexOf(last) + 1);
}
