// Drives headless Chromium for a test in Python: a line of JSON on standard input is one step, and gets a line of JSON
// as its answer: {"value": …} or {"error": …}. Ends when standard input does.
'use strict';

const readline = require('node:readline');
const { chromium } = require('playwright-core');
const axe = require('axe-core');

const contexts = [];
let browser;

const steps = {
  // A visitor with cookies of its own; the answer is its number.
  async visit({ options }) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
    context.setDefaultTimeout(15000);
    const page = await context.newPage();
    const complaints = [];
    // A favicon, or a page that says 4xx, is no fault of the page's content.
    page.on('console', (message) => {
      if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('dialog', (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    contexts.push({ context, page, complaints });
    return contexts.length - 1;
  },
  async leave({ visitor }) { await contexts[visitor].context.close(); },
  async complaints({ visitor }) { return contexts[visitor].complaints; },
  async goto({ page, url }) {
    const response = await page.goto(url);
    return response ? { status: response.status(), headers: response.headers() } : null;
  },
  async reload({ page }) { return (await page.reload()).status(); },
  async url({ page }) { return page.url(); },
  async title({ page }) { return page.title(); },
  async html({ page }) { return page.content(); },
  async text({ page, selector }) { return page.locator(selector).first().innerText(); },
  async texts({ page, selector }) { return page.locator(selector).allInnerTexts(); },
  async attribute({ page, selector, name }) { return page.locator(selector).first().getAttribute(name); },
  async fill({ page, selector, value }) { await page.locator(selector).fill(value); },
  async click({ page, role, name, exact }) { await page.getByRole(role, { name, exact: exact === true }).first().click(); },
  async press({ page, key }) { await page.keyboard.press(key); },
  async type({ page, value }) { await page.keyboard.type(value); },
  async focused({ page }) {
    return page.evaluate(() => {
      const it = document.activeElement;
      const outline = getComputedStyle(it).outlineStyle;
      return { tag: it.tagName.toLowerCase(), text: (it.innerText || it.name || '').trim(), outline };
    });
  },
  async overflow({ page }) {
    return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  },
  async cookies({ context }) { return context.cookies(); },
  async add_cookies({ context, cookies }) { await context.addCookies(cookies); },
  async screenshot({ page, path }) { await page.screenshot({ path, fullPage: true }); },
  async content({ page, html }) { await page.setContent(html); },
  // The violations of WCAG 2.2 AA and of good practice. Playwright's own world is not under the page's CSP.
  async axe({ page }) {
    const client = await page.context().newCDPSession(page);
    const { frameTree } = await client.send('Page.getFrameTree');
    const { executionContextId } = await client.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id });
    await client.send('Runtime.evaluate', { expression: axe.source, contextId: executionContextId });
    const { result } = await client.send('Runtime.evaluate', {
      expression: `axe.run().then(found => JSON.stringify(found.violations.map(
        ({id, help, nodes}) => ({id, help, nodes: nodes.map(node => node.html + ' ' + node.failureSummary)}))))`,
      contextId: executionContextId, awaitPromise: true,
    });
    await client.detach();
    return JSON.parse(result.value);
  },
};

async function main() {
  const root = process.getuid() === 0;
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--disable-dev-shm-usage', ...(root ? ['--no-sandbox'] : [])],
  });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let answer;
    try {
      const step = JSON.parse(line);
      const known = step.visitor === undefined ? {} : contexts[step.visitor];
      answer = { value: (await steps[step.do]({ ...known, ...step })) ?? null };
    } catch (error) {
      answer = { error: String(error) };
    }
    process.stdout.write(JSON.stringify(answer) + '\n');
  }
  await browser.close();
}

main().catch((error) => { process.stdout.write(JSON.stringify({ error: String(error) }) + '\n'); process.exitCode = 1; });
