// Debian's Chromium (playwright-core) and Firefox (puppeteer-core over WebDriver BiDi).

import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { DEADLINE } from './deadline.mjs';
import { temporary } from './programs.mjs';

const CHROMIUM = process.env.SYMBOLON_CHROMIUM ?? '/usr/bin/chromium';
const FIREFOX = process.env.SYMBOLON_FIREFOX ?? '/usr/bin/firefox-esr';
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** One Chromium. Each context of it is a person of their own. */
export async function startChromium({ args = [] } = {}) {
  return chromium.launch({ executablePath: CHROMIUM, headless: true, args: [...ARGS, ...args] });
}

/** A Chromium with a profile that outlives it; `close` it, then start it again with the same `profile`. */
export async function startPersistentChromium(profile = temporary('profile'), { args = [] } = {}) {
  const context = await chromium.launchPersistentContext(profile.path, {
    executablePath: CHROMIUM,
    headless: true,
    args: [...ARGS, ...args],
  });
  return { context: watched(context), profile };
}

/** A new person in a Chromium. */
export async function person(browser, options = {}) {
  return watched(await browser.newContext(options));
}

/** Its pages' errors and violations of the policy are in `context.troubles`. */
function watched(context) {
  context.setDefaultTimeout(DEADLINE);
  context.troubles = [];
  const watch = (page) => {
    page.on('pageerror', (error) => context.troubles.push(String(error.stack ?? error)));
    page.on('console', (message) => {
      if (message.type() === 'error' && !/WebSocket connection|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|when fetching the script/.test(message.text())) {
        context.troubles.push(message.text());
      }
    });
  };
  context.pages().forEach(watch);
  context.on('page', watch);
  return context;
}

/** One Firefox. `createBrowserContext()` of it is a person of their own. */
export async function startFirefox() {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    headless: true,
    extraPrefsFirefox: {
      'media.peerconnection.ice.loopback': true,
      'media.peerconnection.ice.obfuscate_host_addresses': false,
    },
  });
  return browser;
}
