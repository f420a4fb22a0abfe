// What browser tests begin with.

import { DEADLINE } from './deadline.mjs';

export * from './browsers.mjs';
export * from './deadline.mjs';
export * from './programs.mjs';
export * from './people.mjs';
export * from './scene.mjs';
export * from './site.mjs';
export * from './tickets.mjs';

/** Waits in a page (of playwright or puppeteer) until this is true there. */
export function until(page, condition, argument, timeout = DEADLINE) {
  const options = { timeout, polling: 20 };
  const isPlaywright = typeof page.context === 'function';
  return isPlaywright
    ? page.waitForFunction(condition, argument, options)
    : page.waitForFunction(condition, options, argument);
}
