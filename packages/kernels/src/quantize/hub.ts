import { ModelFileError } from './error.ts';
import { httpSource } from './http-source.ts';
import { readAhead } from './read-ahead.ts';
import { type RetryOptions, retrying } from './retrying.ts';
import type { FileSource } from './source.ts';

const HUB = 'https://huggingface.co';

export interface RemoteOptions extends RetryOptions {
  /** Access token for gated and private models; sent to the hub alone, never to where it redirects. */
  readonly token?: string | undefined;
  /** Address of the hub or of a mirror. */
  readonly endpoint?: string | undefined;
  readonly fetch?: typeof globalThis.fetch;
}

export interface HubId {
  /** `owner/name`. */
  readonly model: string;
  /** Branch, tag or commit; default `main`. */
  readonly revision: string;
}

/** Reads `owner/name` or `owner/name@revision`; undefined for anything else. */
export function parseHubId(text: string): HubId | undefined {
  const match = /^([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w./-]+))?$/.exec(text);
  return match?.[1] ? { model: match[1], revision: match[2] ?? 'main' } : undefined;
}

/** The files of a directory at an address, read by range, ahead of their use, and again where the line breaks. */
export function remoteSource(url: string, options: RemoteOptions = {}): FileSource {
  return readAhead(retrying(httpSource(url, options.fetch), options));
}

/**
 * The files of a model on the Hugging Face hub, at the commit that the revision names now, so that a push in between cannot mix
 * two. Its label is `owner/name@commit`. Throws ModelFileError 'missing-file' for an unknown model or revision, 'access-denied'
 * for a gated or private one, and as `httpSource`.
 */
export async function hubSource({ model, revision }: HubId, options: RemoteOptions = {}): Promise<FileSource> {
  const { token, fetch = globalThis.fetch } = options;
  const endpoint = (options.endpoint || HUB).replace(/\/+$/, '');
  const signed: typeof globalThis.fetch = (input, init) => {
    const headers = new Headers(init?.headers);
    if (token) headers.set('authorization', `Bearer ${token}`);
    return fetch(input, { ...init, headers });
  };
  const api = retrying(httpSource(`${endpoint}/api/models/${model}/revision`, signed), options);
  const commit = await explained(model, token, async () => {
    try {
      const answer: unknown = JSON.parse(new TextDecoder().decode(await api.read(revision)));
      const { sha } = (answer ?? {}) as { sha?: unknown };
      return typeof sha === 'string' ? sha : revision;
    } catch (error) {
      if (!(error instanceof ModelFileError) || error.code !== 'missing-file') throw error;
      throw new ModelFileError('missing-file', model, `${endpoint} has no such model or no revision ${revision} of it`);
    }
  });
  const files = remoteSource(`${endpoint}/${model}/resolve/${encodeURIComponent(commit)}/`, {
    ...options,
    fetch: signed,
  });
  return {
    label: `${model}@${commit}`,
    size: (name) => explained(model, token, () => files.size(name)),
    read: (name, start, end, into) => explained(model, token, () => files.read(name, start, end, into)),
  };
}

async function explained<T>(model: string, token: string | undefined, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof ModelFileError) || error.code !== 'access-denied') throw error;
    const mend = token
      ? 'the token given has no access: ask for it on the model’s page, or use a token of an account that has it'
      : 'accept its licence on the model’s page and give an access token (HF_TOKEN)';
    throw new ModelFileError('access-denied', model, `is gated, private or misspelt; ${mend}`);
  }
}
