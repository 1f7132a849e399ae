export * from './admin-schema.ts';
export { sha256 } from './fields.ts';
export * from './impossible-settings.ts';
export * from './participant-schema.ts';
export * from './run-schema.ts';
