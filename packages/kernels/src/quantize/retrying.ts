import { ModelFileError } from './error.ts';
import type { FileSource } from './source.ts';

export interface RetryOptions {
  /** Attempts at one read before giving up; default 6. */
  readonly attempts?: number;
  /** Before the second attempt; doubled each time. Default 500 ms, 15 s in all. */
  readonly firstPauseMs?: number;
  readonly sleep?: (ms: number) => Promise<void>;
  /** Told before each pause. */
  readonly onRetry?: (error: ModelFileError, pauseMs: number) => void;
}

/** The same files; what failed as 'unreachable' or came short is asked again after growing pauses. */
export function retrying(source: FileSource, options: RetryOptions = {}): FileSource {
  const { attempts = 6, firstPauseMs = 500, sleep = pause, onRetry } = options;
  const again = async <T>(attempt: () => Promise<T>): Promise<T> => {
    for (let failures = 1; ; failures++) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof ModelFileError) || error.code !== 'unreachable' || failures >= attempts) throw error;
        const pauseMs = firstPauseMs * 2 ** (failures - 1);
        onRetry?.(error, pauseMs);
        await sleep(pauseMs);
      }
    }
  };
  return {
    label: source.label,
    size: (name) => again(() => source.size(name)),
    read: (name, start, end, into) =>
      again(async () => {
        const bytes = await source.read(name, start, end, into);
        if (end === undefined || bytes.byteLength === end - (start ?? 0)) return bytes;
        throw new ModelFileError(
          'unreachable',
          name,
          `got ${bytes.byteLength} bytes at ${start ?? 0}, expected ${end - (start ?? 0)}`,
        );
      }),
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
