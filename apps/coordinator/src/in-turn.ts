/** Runs `work` after whatever is under way for the same key; `underWay` holds the last of each key. */
export function inTurn<T>(underWay: Map<string, Promise<unknown>>, key: string, work: () => Promise<T>): Promise<T> {
  const before = underWay.get(key) ?? Promise.resolve();
  const result = before.then(work);
  const settled = result.catch(() => undefined);
  underWay.set(key, settled);
  void settled.then(() => {
    if (underWay.get(key) === settled) underWay.delete(key);
  });
  return result;
}
