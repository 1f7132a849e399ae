import { basename, resolve } from 'node:path';
import { UserError } from './output.ts';

/** A file or directory that `serve` offers, and the id by which runs name it. */
export interface Offered {
  readonly id: string;
  readonly title: string;
  readonly path: string;
}

/**
 * The ids of what an option offers: the name in lower case, without extension, with hyphens for everything but letters and
 * digits. Throws UserError when nothing is left of a name, and for two of one id, since a run could not tell them apart;
 * `taken` are ids in use besides, by what is said of them.
 */
export function offeredIds(
  option: string,
  paths: readonly string[],
  taken: Readonly<Record<string, string>> = {},
): Offered[] {
  const owners = new Map(Object.entries(taken));
  return paths.map((path) => {
    const title = basename(resolve(path));
    const id = idOf(title);
    if (id === '')
      throw new UserError(`${option} ${path}: its name has no letter or digit to make an id of: rename it`);
    const other = owners.get(id);
    if (other !== undefined) {
      throw new UserError(`${option} ${path} would have the id "${id}", as has ${other}: rename one of them`);
    }
    owners.set(id, path);
    return { id, title, path };
  });
}

function idOf(name: string): string {
  return name
    .normalize('NFC') // some file systems take letters apart from their accents
    .toLowerCase()
    .replace(/(?<=.)\.[a-z0-9]+$/, '')
    .replace(/[^\p{L}\p{M}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '');
}
