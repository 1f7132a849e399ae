/** Whether an error says that no more can be written here, be it to a file or to the database. */
export const isStorageFull = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT', 'SQLITE_FULL'].includes(String((error as { code?: unknown }).code));
