// What browser tests begin with.

export * from './browsers.mjs';
export * from './deadline.mjs';
export * from './programs.mjs';
export * from './people.mjs';
export * from './scene.mjs';
export * from './site.mjs';
export * from './tickets.mjs';

/** Waits in a page (Chromium or Firefox) until this is true there. */
export async function until(page, condition, argument, timeout = 30_000) {
  // Polled by events of our own making where the page has them would be finer; both drivers poll each frame.
  if (page.constructor.name === 'Page' && typeof page.context === 'function') {
    return page.waitForFunction(condition, argument, { timeout, polling: 20 });
  }
  return page.waitForFunction(condition, { timeout, polling: 20 }, argument);
}
