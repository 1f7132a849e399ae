import type { Transfer } from '@cotune/kernels';

/** A failure that the user can mend: printed as one sentence, exit code 1, no stack. */
export class UserError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UserError';
  }
}

/** The user asked for what makes no sense together: exit code 2. */
export class UsageError extends UserError {}

export interface ProgressBar {
  /** `done` of `total`, with a short note such as the loss. Time left is reckoned from the start unless it is given. */
  update(done: number, total: number, note?: string, secondsLeft?: number | null): void;
  /** Bytes, with speed and time left. */
  transfer(progress: Transfer): void;
  end(): void;
}

/** A bar with time left on a terminal, a line per tenth (a second apart at least) otherwise; on stderr, since stdout carries results. */
export function progressBar(title: string, now: () => number = Date.now): ProgressBar {
  const stream = process.stderr;
  const startedAtMs = now();
  let shownTenth = -1;
  let lastDrawMs = startedAtMs;
  let open = false;
  const update: ProgressBar['update'] = (done, total, note = '', secondsLeft) => {
    const share = total > 0 ? Math.min(1, done / total) : 1;
    const sinceStart = share >= 0.05 ? ((now() - startedAtMs) / share) * (1 - share) : null;
    const leftMs = secondsLeft === undefined ? sinceStart : secondsLeft === null ? null : secondsLeft * 1000;
    const left = leftMs !== null && share < 1 ? `, ${formatDuration(leftMs)} left` : '';
    if (stream.isTTY) {
      if (share < 1 && now() - lastDrawMs < 80) return;
      lastDrawMs = now();
      const filled = Math.round(share * 24);
      const bar = `${'█'.repeat(filled)}${'░'.repeat(24 - filled)}`;
      stream.write(`\r\x1b[2K${title} ${bar} ${(share * 100).toFixed(0)} %${left} ${note}`);
      open = true;
    } else {
      const tenth = Math.floor(share * 10);
      if (tenth === shownTenth || now() - lastDrawMs < 1000) return;
      shownTenth = tenth;
      lastDrawMs = now();
      stream.write(`${title}: ${(share * 100).toFixed(0)} %${left} ${note}\n`);
    }
  };
  return {
    update,
    transfer({ doneBytes, totalBytes, bytesPerSecond, secondsLeft }) {
      const speed = bytesPerSecond > 0 ? `, ${formatBytes(bytesPerSecond)}/s` : '';
      update(doneBytes, totalBytes, `(${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}${speed})`, secondsLeft);
    },
    end() {
      if (open) stream.write('\n');
      open = false;
    },
  };
}

export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 2 ** 20) return `${(bytes / 1024).toFixed(1)} KiB`;
  if (bytes < 2 ** 30) return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}

/** A status line on stderr. */
export function note(message: string): void {
  process.stderr.write(`${message}\n`);
}

/** The result, on stdout: one JSON line with --json, else text. */
export function printResult(json: boolean | undefined, value: unknown, text: () => string): void {
  process.stdout.write(json ? `${JSON.stringify(value)}\n` : `${text()}\n`);
}
