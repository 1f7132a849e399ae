export * from './codec.ts';
export * from './crc32.ts';
export * from './events.ts';
export * from './schema.ts';
export * from './version.ts';
