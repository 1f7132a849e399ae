import { homedir } from 'node:os';
import { join } from 'node:path';
import { LORA_TARGETS, type LoraTarget } from '@cotune/kernels';
import { InvalidArgumentError } from 'commander';

/** What outlives a command: resume tokens, cached models, what is known of this machine's GPU. */
export const STATE_DIRECTORY = process.env.COTUNE_STATE_DIR ?? join(homedir(), '.cotune');

/** Parsers for commander that turn bad numbers into usage errors (exit 2). */
export function integer(minimum: number, maximum = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < minimum || value > maximum) {
      const range = maximum === Number.MAX_SAFE_INTEGER ? `≥ ${minimum}` : `from ${minimum} to ${maximum}`;
      throw new InvalidArgumentError(`Got "${text}", expected a whole number ${range}.`);
    }
    return value;
  };
}

export function decimal(minimum: number, maximum = Number.POSITIVE_INFINITY): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || value < minimum || value > maximum) {
      const range = maximum === Number.POSITIVE_INFINITY ? `≥ ${minimum}` : `from ${minimum} to ${maximum}`;
      throw new InvalidArgumentError(`Got "${text}", expected a number ${range}.`);
    }
    return value;
  };
}

export function oneOf<const Choices extends readonly string[]>(choices: Choices): (text: string) => Choices[number] {
  return (text) => {
    const found = choices.find((choice) => choice === text);
    if (found === undefined) throw new InvalidArgumentError(`Got "${text}", expected one of ${choices.join(', ')}.`);
    return found;
  };
}

/** A comma-separated list of choices. */
export function listOf<const Choices extends readonly string[]>(choices: Choices): (text: string) => Choices[number][] {
  const parse = oneOf(choices);
  return (text) => text.split(',').map((part) => parse(part.trim()));
}

const TARGET_NAMES = LORA_TARGETS.map((target) => target.replace('_proj', ''));

export const TARGETS_HELP = `linears: ${TARGET_NAMES.join(',')}, or all`;

/** The linears that get an adapter, `q,v`, `q_proj,v_proj` or `all`, in the order of the layer. */
export function loraTargets(text: string): LoraTarget[] {
  if (text.trim() === 'all') return [...LORA_TARGETS];
  const names = listOf(TARGET_NAMES)(text.replaceAll('_proj', ''));
  return LORA_TARGETS.filter((target) => names.includes(target.replace('_proj', '')));
}

/** Collects a repeatable option. */
export function collect(text: string, previous: string[] = []): string[] {
  return [...previous, text];
}
