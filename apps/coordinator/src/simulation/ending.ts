export type Ending = ReturnType<typeof createEnding>;

/** Settles once: finished, failed, or stopped with nothing failed before. */
export function createEnding() {
  let failure: { readonly error: unknown } | undefined;
  let resolve = () => {};
  let reject: (error: unknown) => void = () => {};
  const settled = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  settled.catch(() => undefined);
  const fail = (error: unknown) => {
    failure ??= { error };
    reject(error);
  };
  return { settled, finish: () => resolve(), fail, failed: () => failure !== undefined };
}
