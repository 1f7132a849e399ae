import { z } from 'zod';

// Field types that several messages share.
export const id = z.string().min(1).max(128);
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hex digits');
export const count = z.number().int().nonnegative();
export const positive = z.number().int().positive();
export const finite = z.number().refine(Number.isFinite, 'expected a finite number');
