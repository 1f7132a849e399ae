import { readFile } from 'node:fs/promises';
import { type RunConfig, runConfig } from '@cotune/fl-core/protocol';
import { UserError } from './output.ts';

/** Reads and checks a run's settings file. Throws UserError naming the first setting that is wrong or unknown. */
export async function readRunSettings(file: string): Promise<RunConfig> {
  let settings: unknown;
  try {
    settings = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw new UserError(`${file} is not JSON: ${error.message}`);
    throw error;
  }
  const parsed = runConfig.safeParse(settings);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new UserError(`${file}: ${issue?.path.join('.') || 'settings'}: ${issue?.message}`);
  }
  const [unknown] = unknownKeys(settings, parsed.data);
  if (unknown !== undefined) throw new UserError(`${file}: there is no setting "${unknown}": check its spelling`);
  return parsed.data;
}

/** Keys of plain objects in `given` that parsing dropped, with their path; those in arrays too. */
export function unknownKeys(given: unknown, parsed: unknown, path = ''): string[] {
  if (Array.isArray(given) && Array.isArray(parsed)) {
    return given.flatMap((value, i) => unknownKeys(value, parsed[i], `${path}${i}.`));
  }
  if (!isObject(given) || !isObject(parsed)) return [];
  return Object.entries(given).flatMap(([key, value]) =>
    Object.hasOwn(parsed, key) ? unknownKeys(value, parsed[key], `${path}${key}.`) : [`${path}${key}`],
  );
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
