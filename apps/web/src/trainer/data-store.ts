import { findFile, openFolder, privateRoot, remove, writeFile } from './opfs.ts';

export interface StoredFile {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const DATA = 'data';
const NAME = 'data.name';

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

/** Removes the file and everything else kept for a seat. */
export async function forgetSeat(seat: string): Promise<void> {
  const root = await privateRoot();
  if (root) await remove(await openFolder(root, 'seats'), seat);
}
