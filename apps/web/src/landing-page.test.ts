import { expect, it } from 'vitest';
import { joinToken } from './landing-page.tsx';

it.each([
  ['https://example.org/join/invite_abc-123?auto=1', 'invite_abc-123'],
  ['  http://localhost:7400/join/tok_en12345#x ', 'tok_en12345'],
  ['invite_abc-123', 'invite_abc-123'],
  ['https://example.org/admin', undefined],
  ['hello there', undefined],
])('finds the token in %s', (text, token) => expect(joinToken(text)).toBe(token));
