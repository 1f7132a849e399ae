import { describe, expect, it } from 'vitest';
import {
  formatAgo,
  formatBytes,
  formatCount,
  formatDuration,
  formatFixed,
  formatPercent,
  formatSetting,
  formatSigned,
  parseSetting,
} from './units.ts';

describe('units', () => {
  it('formats bytes in binary units and never shows 1000 of one', () => {
    expect(formatBytes(0)).toBe('0 B');
    expect(formatBytes(640)).toBe('640 B');
    expect(formatBytes(1000)).toBe('0.977 KiB');
    expect(formatBytes(1_572_864)).toBe('1.5 MiB');
    expect(formatBytes(7_516_192_768)).toBe('7 GiB');
  });
  it('formats durations, and a dash for unknown ones', () => {
    expect(formatDuration(999)).toBe('1 s');
    expect(formatDuration(200_000)).toBe('3 min 20 s');
    expect(formatDuration(7_500_000)).toBe('2 h 05 min');
    expect(formatDuration(Number.POSITIVE_INFINITY)).toBe('–');
    expect(formatDuration(-1)).toBe('–');
  });
  it('formats figures of fixed width', () => {
    expect(formatFixed(1.5, 3)).toBe('1.500');
    expect(formatFixed(Number.NaN, 2)).toBe('–');
    expect(formatPercent(0.9344)).toBe('93.4 %');
    expect(formatCount(1234567)).toBe('1,234,567');
  });
  it('gives differences a sign, and nothing one', () => {
    expect(formatSigned(0.0421)).toBe('+0.042');
    expect(formatSigned(-1.3)).toBe('−1.300');
    expect(formatSigned(-0.0001)).toBe('0.000');
    expect(formatSigned(undefined)).toBe('–');
  });
  it('writes settings so that they can be read back', () => {
    expect([0.001, 5e-5, 1e-7, 12, 0, -2.5].map(formatSetting)).toEqual(['0.001', '5e-5', '1e-7', '12', '0', '-2.5']);
    for (const value of [0.001, 5e-5, 1e-7, 1.5e21, 12, 0, -2.5, 0.1 + 0.2]) {
      expect(parseSetting(formatSetting(value))).toBe(value);
    }
    expect(['1e-3', ' 0,5 ', '.5', '+3', '1E4', '7.'].map(parseSetting)).toEqual([1e-3, 0.5, 0.5, 3, 10_000, 7]);
    expect(['', 'abc', '1,000,000', '1e', '0x10', '1 2', 'Infinity'].map(parseSetting)).toEqual(
      Array.from({ length: 7 }, () => null),
    );
  });
  it('says how long ago', () => {
    expect(formatAgo(0, 3000)).toBe('just now');
    expect(formatAgo(0, 61_000)).toBe('1 min ago');
    expect(formatAgo(0, 200_000_000)).toBe('2 d ago');
  });
});
