import { createTheme } from '@mantine/core';

/** Teal, because red and green carry meaning in the charts; the system font, because nothing is loaded from elsewhere. */
export const theme = createTheme({
  primaryColor: 'teal',
  // Shade 9 is the first teal that white text can be read on (5.0 : 1).
  primaryShade: 9,
  defaultRadius: 'md',
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  headings: { fontWeight: '650', textWrap: 'balance' },
  respectReducedMotion: true,
});
