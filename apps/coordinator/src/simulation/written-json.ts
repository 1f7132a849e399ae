import type { z } from 'zod';
import { UserError } from '../cli/output.ts';

/** What a simulation wrote, from its text. Throws UserError, which names `where`, when it is damaged or of another make. */
export function parseWritten<Schema extends z.ZodType>(where: string, text: string, schema: Schema): z.output<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError(`${where} is not JSON (${(error as Error).message}): remove it and run the simulation again`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new UserError(
    `${where} is not what this version of cotune simulate writes: ${issue?.path.join('.')}: ${issue?.message}`,
  );
}
