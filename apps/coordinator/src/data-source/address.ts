import { UserError } from '../cli/output.ts';

/** An address to ask, and what to ask it with. */
export interface Address {
  /** Without user name and password, which are not to be stored or shown. */
  readonly url: string;
  /** What they become: basic authentication (RFC 7617). */
  readonly headers: Readonly<Record<string, string>>;
}

/** Throws UserError for what is no http(s) address. */
export function readAddress(from: string): Address {
  const parsed = URL.canParse(from) ? new URL(from) : undefined;
  if (!parsed || !/^https?:$/.test(parsed.protocol)) {
    throw new UserError(
      `${JSON.stringify(shownAddress(from))} is no address: expected one like https://example.org/rows.jsonl`,
    );
  }
  const { username, password } = parsed;
  if (username === '' && password === '') return { url: from, headers: {} };
  parsed.username = '';
  parsed.password = '';
  const pair = Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64');
  return { url: parsed.href, headers: { authorization: `Basic ${pair}` } };
}

/** A source for messages: an address without user name and password, anything else as it is. */
export function shownAddress(from: string): string {
  if (!/^https?:\/\//i.test(from)) return from;
  return URL.canParse(from) ? readAddress(from).url : from.replace(/^(https?:\/\/)[^?#]*@/i, '$1');
}

/** Longest name in UTF-8, which leaves room below the 255 bytes of file systems for what is put behind it. */
const MAX_NAME_BYTES = 200;

/** What a file from this address is called on any file system: the last part of its path, or `data` where there is none. */
export function fileNameOf(url: string): string {
  const last = decoded(new URL(url).pathname).split(/[/\\]/).at(-1) ?? '';
  const name = last.replace(/[\p{C}:*?"<>|]/gu, '').replace(/[. ]+$/, '');
  const extension = /(\.[a-z]{1,8}){0,2}$/i.exec(name)?.[0] ?? '';
  const stem = Array.from(name.slice(0, name.length - extension.length));
  while (Buffer.byteLength(stem.join('')) > MAX_NAME_BYTES) stem.length -= 8;
  return `${stem.join('')}${extension}` || 'data';
}

/** Percent-decoded where that can be done, as it is elsewhere. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
