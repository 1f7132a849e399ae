/** One sentence for a person from whatever was thrown, in this tab or in the Worker. */
export function explainFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'QuotaExceededError') {
    return 'This browser’s storage is full. Free some space (site data in the browser’s settings), then try again.';
  }
  if (error.name === 'NotReadableError') return 'The file could not be read; it was changed or moved. Choose it again.';
  return error.message || error.name;
}
