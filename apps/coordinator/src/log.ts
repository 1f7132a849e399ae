import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Logger;

/** JSON lines on `destination` (stderr by default, so that stdout stays for results). Secrets are never logged. */
export function createLog(
  level = 'info',
  destination: DestinationStream = pino.destination({ dest: 2, sync: true }),
): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: [
        'token',
        '*.token',
        'resumeToken',
        '*.resumeToken',
        'cookie',
        '*.cookie',
        'authorization',
        '*.authorization',
      ],
    },
    destination,
  );
}
