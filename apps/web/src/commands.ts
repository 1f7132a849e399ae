import { zipFiles } from './participant/zip.ts';
import { createJoinSession, type JoinSession } from './session.ts';
import type { ColumnChoice } from './trainer/columns.ts';
import type { GenerateJob } from './trainer/messages.ts';

let current: { token: string; session: JoinSession } | null = null;

/** Opens the invitation of the address bar, once; `?auto=1&demo=N` starts by itself with demo data N. */
export function openInvitation(token: string): void {
  if (current?.token === token) return;
  current?.session.close();
  const query = new URLSearchParams(window.location.search);
  const demo = Number(query.get('demo') ?? Number.NaN);
  const session = createJoinSession(token, {
    auto: query.get('auto') === '1',
    demoOrdinal: Number.isInteger(demo) && demo > 0 ? demo : null,
  });
  current = { token, session };
  void session.open();
}

const session = (): JoinSession => {
  if (!current) throw new Error('no invitation is open');
  return current.session;
};

export const chooseFile = (file: File) => void session().readData(file);
export const chooseDemo = (ordinal: number) => void session().chooseDemo(ordinal);
export const offerColumns = () => void session().offerColumns();
export const chooseColumns = (columns: ColumnChoice | null) => void session().chooseColumns(columns);
export const join = (name: string) => void session().join(name);
export const retry = () => void session().retry();
export const loadResult = () => void session().loadResult();
export const stop = (how: 'submit' | 'discard') => session().stop(how);
export const generate = (job: GenerateJob, onText: (text: string) => void) => session().generate(job, onText);
export const cancelGeneration = () => void session().cancelGeneration();
export const forgetData = () => session().forget();

/** Saves the tuned adapter as a ZIP with the two files of a PEFT directory. */
export async function downloadPeft(name: string): Promise<void> {
  const url = URL.createObjectURL(zipFiles(await session().peft()));
  const link = document.createElement('a');
  link.href = url;
  link.download = `${name}.zip`;
  link.click();
  // The browser has taken the blob over once the click was handled; a later task may free it.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
