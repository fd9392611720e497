// A browser that does what it is told, one line of JSON at a time: {"do": NAME, ...} is answered by {"value": ...} or {"error": "..."}.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const PATIENCE = 8000; // milliseconds
const browser = await chromium.launch({ executablePath: process.argv[2], args: ["--no-sandbox"] });
let page, context;
let faults = []; // what no page of ours may do

const actions = {
  async open({ url, width = 1280, height = 900, scheme = "light", trusting = false }) {
    await context?.close();
    faults = [];
    context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, ignoreHTTPSErrors: trusting });
    context.setDefaultTimeout(PATIENCE);
    page = await context.newPage();
    const origin = new URL(url).origin;
    page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
    page.on("console", (message) => {
      // A refused order and a lost connection are logged by the browser itself.
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) faults.push(`console: ${message.text()}`);
    });
    page.on("dialog", (dialog) => { faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on("request", (request) => {
      if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith("data:")) faults.push(`request: ${request.url()}`);
    });
    await page.goto(url);
  },
  click: ({ role, name }) => page.getByRole(role, { name, exact: true }).click(),
  fill: ({ label, text }) => page.getByLabel(label).fill(text),
  press: ({ key }) => page.keyboard.press(key),
  // Waits until the first that matches has this text, a regular expression.
  wait: ({ selector, text }) => page.waitForFunction(
    ([wanted, pattern]) => new RegExp(pattern).test(document.querySelector(wanted)?.textContent ?? ""), [selector, text]).then(() => null),
  text: ({ selector }) => page.locator(selector).allTextContents(),
  run: ({ script }) => page.evaluate(script),
  shoot: ({ path }) => page.screenshot({ path, fullPage: true }).then(() => null),
  faults: () => faults,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...given } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ value: (await actions[name](given)) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }
}
await browser.close();
