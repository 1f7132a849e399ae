import { z } from 'zod';
import { ALGORITHMS, type AlgorithmId, type AlgorithmTable } from './registry.ts';

/** One input of a form. */
export interface FormField {
  readonly name: string;
  readonly type: 'number' | 'integer' | 'boolean' | 'choice' | 'text';
  /** What the input starts with; null when the schema has no default and the user must fill it in. */
  readonly default: number | boolean | string | null;
  /** Inclusive limits; null = none. */
  readonly min: number | null;
  readonly max: number | null;
  /** For `choice`. */
  readonly choices: readonly string[];
  readonly description: string;
}

export interface AlgorithmForm<Id extends string = AlgorithmId> {
  readonly id: Id;
  readonly title: string;
  readonly summary: string;
  readonly fields: readonly FormField[];
}

interface PropertySchema {
  type?: string;
  enum?: string[];
  default?: number | boolean | string;
  minimum?: number;
  maximum?: number;
  description?: string;
}

/** zod writes the safe-integer range where an integer has no limit of its own. */
const limit = (value: number | undefined): number | null =>
  value === undefined || Math.abs(value) === Number.MAX_SAFE_INTEGER ? null : value;

/** The inputs of a flat object schema of numbers, booleans, enums and strings; every property of the schema gives one. */
export function formFields(schema: z.ZodType): readonly FormField[] {
  const { properties = {} } = z.toJSONSchema(schema, { io: 'input' }) as {
    properties?: Record<string, PropertySchema>;
  };
  return Object.entries(properties).map(([name, property]) => ({
    name,
    type: typeOf(name, property),
    default: property.default ?? null,
    min: limit(property.minimum),
    max: limit(property.maximum),
    choices: property.enum ?? [],
    description: property.description ?? '',
  }));
}

function typeOf(name: string, property: PropertySchema): FormField['type'] {
  if (property.enum !== undefined) return 'choice';
  if (property.type === 'string') return 'text';
  if (property.type === 'number' || property.type === 'integer' || property.type === 'boolean') return property.type;
  throw new TypeError(
    `form: property ${name} has type ${property.type}, expected number, integer, boolean, string or an enum`,
  );
}

/** Forms of a table's hyperparameters, in its order. */
export const formsOf = <Table extends AlgorithmTable>(table: Table): readonly AlgorithmForm<keyof Table & string>[] =>
  (Object.keys(table) as (keyof Table & string)[]).map((id) => {
    const { title, summary, hyper } = table[id] as AlgorithmTable[string];
    return { id, title, summary, fields: formFields(hyper) };
  });

/** Forms of every algorithm's hyperparameters, in the order of the registry. */
export const algorithmForms = (): readonly AlgorithmForm[] => formsOf(ALGORITHMS);
