import type { Db } from './database.ts';
import type { BlobKind } from './schema.ts';

/** Notes that a blob's file is complete on disk. An update that happens to equal an adapter becomes servable as one. */
export async function insertBlob(
  db: Db,
  blob: { sha256: string; kind: BlobKind; bytes: number; atMs: number },
): Promise<void> {
  const { sha256, kind, bytes, atMs } = blob;
  await db
    .insertInto('blobs')
    .values({ sha256, kind, bytes, created_at_ms: atMs })
    .onConflict((conflict) =>
      kind === 'adapter' ? conflict.column('sha256').doUpdateSet({ kind }) : conflict.column('sha256').doNothing(),
    )
    .execute();
}

export async function blobRow(db: Db, sha256: string): Promise<{ kind: BlobKind; bytes: number } | undefined> {
  return db.selectFrom('blobs').select(['kind', 'bytes']).where('sha256', '=', sha256).executeTakeFirst();
}

export async function blobsOfKind(db: Db, kind: BlobKind): Promise<string[]> {
  const rows = await db.selectFrom('blobs').select('sha256').where('kind', '=', kind).execute();
  return rows.map((row) => row.sha256);
}

/** Forgets a blob of this kind; false when there is none. */
export async function deleteBlobRow(db: Db, kind: BlobKind, sha256: string): Promise<boolean> {
  const result = await db.deleteFrom('blobs').where('sha256', '=', sha256).where('kind', '=', kind).executeTakeFirst();
  return result.numDeletedRows > 0n;
}
