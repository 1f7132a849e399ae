import { connect, createServer, type Socket as TcpSocket } from 'node:net';

/** A loopback proxy in front of a coordinator that keeps every byte its clients send. */
export interface WireTap {
  readonly url: string;
  /** All that clients have sent: HTTP requests as they are, WebSocket messages unmasked, one connection after another. */
  sent(): Buffer;
  /** Indices of the chunks that were passed on completely, in order. */
  chunks(): number[];
  /** Passes on `bytes` more from the clients; what comes after that is lost, as it is when its sender is killed. */
  holdAfter(bytes: number): void;
  /** Whether the allowance is used up. */
  holding(): boolean;
  close(): Promise<void>;
}

export async function openWireTap(port: number): Promise<WireTap> {
  const connections: Buffer[][] = [];
  const sockets = new Set<TcpSocket>();
  let allowance = Number.POSITIVE_INFINITY;

  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    const kept: Buffer[] = [];
    connections.push(kept);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.end();
      });
    }
    client.on('data', (data) => {
      const passed = data.subarray(0, Math.min(data.length, allowance));
      allowance -= passed.length;
      kept.push(passed);
      upstream.write(passed);
    });
    upstream.on('data', (data) => client.write(data));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the tap has no port');

  return {
    url: `http://127.0.0.1:${address.port}`,
    sent: () => Buffer.concat(connections.map((kept) => readable(Buffer.concat(kept)))),
    chunks() {
      const found: number[] = [];
      for (const kept of connections) found.push(...chunkIndices(Buffer.concat(kept)));
      return found;
    },
    holdAfter(bytes) {
      allowance = bytes;
    },
    holding: () => allowance === 0,
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** What a connection carried, with its WebSocket frames (RFC 6455 §5.2) unmasked. */
function readable(raw: Buffer): Buffer {
  const [head, rest] = splitUpgrade(raw);
  return rest === undefined ? raw : Buffer.concat([head, ...frames(rest)]);
}

/** Bytes up to the end of the upgrade request, and after it; a connection without an upgrade has no second part. */
function splitUpgrade(raw: Buffer): [Buffer, Buffer | undefined] {
  const upgrade = raw.indexOf('Upgrade: websocket');
  if (upgrade < 0) return [raw, undefined];
  const end = raw.indexOf('\r\n\r\n', upgrade) + 4;
  return [raw.subarray(0, end), raw.subarray(end)];
}

function frames(raw: Buffer): Buffer[] {
  const payloads: Buffer[] = [];
  let at = 0;
  while (at + 2 <= raw.length) {
    const second = raw.readUInt8(at + 1);
    let length = second & 0x7f;
    let header = 2;
    if (length === 126) {
      if (at + 4 > raw.length) break;
      length = raw.readUInt16BE(at + 2);
      header = 4;
    } else if (length === 127) {
      if (at + 10 > raw.length) break;
      length = Number(raw.readBigUInt64BE(at + 2));
      header = 10;
    }
    if ((second & 0x80) === 0) throw new Error('a client sent an unmasked frame');
    const start = at + header + 4;
    if (start + length > raw.length) break; // cut off by the hold or by a kill
    const mask = raw.subarray(at + header, start);
    payloads.push(raw.subarray(start, start + length).map((byte, i) => byte ^ (mask[i & 3] ?? 0)) as Buffer);
    at = start + length;
  }
  return payloads;
}

/** A chunk is a text message that announces it, followed by its binary. */
function chunkIndices(raw: Buffer): number[] {
  const [, rest] = splitUpgrade(raw);
  const payloads = rest === undefined ? [] : frames(rest);
  return payloads.flatMap((payload, i) => {
    if (payloads[i + 1] === undefined) return [];
    const match = payload
      .subarray(0, 200)
      .toString('latin1')
      .match(/\["upload:chunk",\{"uploadId":"[^"]+","index":(\d+)/);
    return match ? [Number(match[1])] : [];
  });
}
