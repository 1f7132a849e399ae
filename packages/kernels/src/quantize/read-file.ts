import type { z } from 'zod';
import { ModelFileError } from './error.ts';
import type { FileSource } from './source.ts';

/** Size of a file. Throws 'missing-file' when it is not there. */
export async function sizeOf(source: FileSource, name: string): Promise<number> {
  const bytes = await source.size(name);
  if (bytes === undefined) {
    throw new ModelFileError('missing-file', name, `not found in ${source.label}; check the path or download the file`);
  }
  return bytes;
}

/** Bytes [start, end) of a file, exactly; `into` as in FileSource. Throws 'truncated' when the file ends before. */
export async function readExactly(
  source: FileSource,
  name: string,
  start: number,
  end: number,
  into?: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await source.read(name, start, end, into);
  if (bytes.byteLength !== end - start) {
    throw new ModelFileError(
      'truncated',
      name,
      `got ${bytes.byteLength} bytes at ${start}, expected ${end - start}; download the file again`,
    );
  }
  return bytes;
}

/** A whole text file, UTF-8. Throws 'missing-file', or 'malformed' when it is not UTF-8 or larger than `maxBytes`. */
export async function readText(source: FileSource, name: string, maxBytes = 64 * 2 ** 20): Promise<string> {
  const bytes = await sizeOf(source, name);
  if (bytes > maxBytes) {
    throw new ModelFileError('malformed', name, `got ${bytes} bytes, expected at most ${maxBytes}`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await source.read(name));
  } catch (error) {
    if (error instanceof TypeError) throw new ModelFileError('malformed', name, 'is not UTF-8 text');
    throw error;
  }
}

/** Parses JSON text. Throws 'malformed' with the parser's reason. */
export function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ModelFileError('malformed', name, `is not JSON (${(error as Error).message})`);
  }
}

/** Parses with a schema. Throws 'malformed' with the first issue's place and reason. */
export function parseWith<T>(schema: z.ZodType<T>, value: unknown, name: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ModelFileError('malformed', name, `${issue?.path.join('.') || '(root)'}: ${issue?.message ?? 'malformed'}`);
}
