import { sha256Hex } from '@cotune/kernels';
import { z } from 'zod';
import type { ColumnChoice } from './columns.ts';
import { findFile, openFolder, privateRoot, remove, writeFile } from './opfs.ts';

export interface StoredFile {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const DATA = 'data';
const NAME = 'data.name';
const COLUMNS = 'columns.json';

/** Keeps a copy of the owner's file for a reload, in this browser's private storage; nothing is kept where there is none. */
export async function keepData(seat: string, file: StoredFile): Promise<void> {
  const root = await privateRoot();
  if (!root) return;
  const folder = await openFolder(root, `seats/${seat}`);
  await writeFile(folder, DATA, file.bytes);
  await writeFile(folder, NAME, new TextEncoder().encode(file.name));
}

/** The file kept for a seat, or null. */
export async function keptData(seat: string): Promise<StoredFile | null> {
  const root = await privateRoot();
  if (!root) return null;
  const folder = await openFolder(root, `seats/${seat}`);
  const [data, name] = await Promise.all([findFile(folder, DATA), findFile(folder, NAME)]);
  return data && name ? { name: await name.text(), bytes: new Uint8Array(await data.arrayBuffer()) } : null;
}

const keptColumns = z.object({
  sha256: z.string(),
  columns: z.object({ prompt: z.string(), response: z.string(), chosen: z.string(), rejected: z.string() }),
});

/** Remembers which columns of a file the owner chose; null forgets it. */
export async function keepColumns(seat: string, { bytes }: StoredFile, columns: ColumnChoice | null): Promise<void> {
  const root = await privateRoot();
  if (!root) return;
  const folder = await openFolder(root, `seats/${seat}`);
  if (columns === null) return remove(folder, COLUMNS);
  const kept = { sha256: await sha256Hex(bytes), columns } satisfies z.infer<typeof keptColumns>;
  await writeFile(folder, COLUMNS, new TextEncoder().encode(JSON.stringify(kept)));
}

/** The columns that were chosen for this very file in this seat, or null. */
export async function columnsOf(seat: string, { bytes }: StoredFile): Promise<ColumnChoice | null> {
  const root = await privateRoot();
  const file = root && (await findFile(await openFolder(root, `seats/${seat}`), COLUMNS));
  if (!file) return null;
  const kept = keptColumns.safeParse(JSON.parse(await file.text().catch(() => 'null')));
  return kept.success && kept.data.sha256 === (await sha256Hex(bytes)) ? kept.data.columns : null;
}

/** Removes the file and everything else kept for a seat. */
export async function forgetSeat(seat: string): Promise<void> {
  const root = await privateRoot();
  if (root) await remove(await openFolder(root, 'seats'), seat);
}
