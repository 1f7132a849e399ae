import type { Server as HttpServer } from 'node:http';
import { Server } from 'socket.io';
import { admits, type DoorRules } from './origin.ts';
import { strictParser } from './parser.ts';

/** One chunk and its envelope; a larger message closes the socket. */
export const MAX_MESSAGE_BYTES = 266_240;

/**
 * socket.io with everything off that is not needed: WebSocket alone, no compression (adapters do not compress, and it
 * costs memory), no connection-state recovery (it would hold packets in memory), one small binary a message, five seconds
 * to authenticate, and no handshake from a foreign page.
 */
export function createSocketServer(http: HttpServer, rules: DoorRules): Server {
  const io = new Server(http, {
    path: '/socket.io',
    transports: ['websocket'],
    maxHttpBufferSize: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    httpCompression: false,
    connectTimeout: 5000,
    pingInterval: 25_000,
    pingTimeout: 20_000,
    allowEIO3: false,
    serveClient: false,
    cookie: false,
    parser: strictParser,
    allowRequest: (request, answer) => answer(null, admits(rules, request)),
  });
  // socket.io always has this namespace, and whoever is in one counts as having authenticated.
  io.of('/').use((_socket, next) => {
    const message = 'nothing is served here: connect to /participant or /admin';
    next(Object.assign(new Error(message), { data: { code: 'unauthorized', message } }));
  });
  return io;
}
