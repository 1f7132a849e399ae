import axe from 'axe-core';
import type { Page } from 'playwright-core';

/** What axe finds on a page as it stands, in both colour schemes: one line a serious or critical violation and element. */
export async function audit(page: Page): Promise<string[]> {
  const found: string[] = [];
  // By the debugger, which the page's content security policy does not concern.
  await page.evaluate(axe.source);
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    // Transitions between the schemes' colours would be judged half-way.
    await page.waitForTimeout(300);
    const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
    for (const { id, impact, nodes } of violations) {
      if (impact !== 'serious' && impact !== 'critical') continue;
      for (const { target, failureSummary } of nodes) found.push(`${colorScheme} ${id}: ${target} ${failureSummary}`);
    }
  }
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: null });
  return found;
}
