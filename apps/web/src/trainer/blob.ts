import { FlError } from '@cotune/fl-core';

/** Bytes of a content-addressed blob by its address on the coordinator. Throws FlError 'not-found' or what fetch throws. */
export async function downloadBlob(
  url: string,
  onProgress?: (receivedBytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(new URL(url, location.origin));
  if (!response.ok || !response.body)
    throw new FlError('not-found', `download of ${url}: the coordinator answered ${response.status}`);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let received = 0;
  const reader = response.body.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    const part = next.value as Uint8Array<ArrayBuffer>;
    parts.push(part);
    received += part.byteLength;
    onProgress?.(received);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
