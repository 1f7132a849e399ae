import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';

/** A SHA-256 fed piece by piece, so that nothing needs to be in memory as a whole. */
export interface Sha256 {
  update(bytes: Uint8Array): void;
  /** The digest as lower-case hex; nothing can be added after it. */
  hex(): string;
}

interface NativeCrypto {
  createHash(name: 'sha256'): { update(bytes: Uint8Array): unknown; digest(encoding: 'hex'): string };
}

// WebCrypto has no incremental digest. Node's own is ten times as fast as one in JavaScript, which browsers need.
const { process } = globalThis as { process?: { getBuiltinModule?(id: string): unknown } };
const native = process?.getBuiltinModule?.('node:crypto') as NativeCrypto | undefined;

/** Starts an incremental SHA-256. */
export function createSha256(): Sha256 {
  const hash = native?.createHash('sha256');
  if (hash) return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest('hex') };
  const portable = sha256.create();
  return { update: (bytes) => void portable.update(bytes), hex: () => bytesToHex(portable.digest()) };
}

/** SHA-256 as lower-case hex, by WebCrypto (in Node and in secure browser contexts). */
export async function sha256Hex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return bytesToHex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
}
