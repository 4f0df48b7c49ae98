// The browser's part of scripts/console-check: makes data through the API, then looks at every page.
// It judges what a browser can: width, errors, content policy, accessibility, and the walk of docs/runbook.md. It is not run by itself.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const puppeteer = require("puppeteer-core");

const url = process.env.CONSOLE_URL;
const key = process.env.ADMIN_API_KEY;
const shots = process.env.SHOTS;
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const faults = [];
const wrong = (where, what) => { faults.push(`${where}: ${what}`); console.error(`  ${where}: ${what}`); };

async function call(method, to, body, bearer = key) {
  const headers = { authorization: `Bearer ${bearer}` };
  if (body) headers["content-type"] = "application/json";
  const answer = await fetch(url + to, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${to}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

const until = async (what, found) => {
  for (let tries = 0; tries < 300; tries += 1) {
    const value = await found();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`${what} did not come`);
};

// Two customers, a song that is done, one that failed, one canceled, and some that wait behind a pause.
async function data() {
  const ada = await call("POST", "/admin/v1/accounts", { name: "Ada Lovelace", tier: "enterprise", email: "ada@example.org" });
  await call("POST", "/admin/v1/accounts", { name: "A customer with quite a long name, to see where it breaks", tier: "free" });
  const made = await call("POST", `/admin/v1/accounts/${ada.id}/keys`, { name: "laptop" });
  await call("POST", `/admin/v1/accounts/${ada.id}/credits`, { amount: 25, reason: "goodwill" });
  const submit = (body) => call("POST", "/v1/generations", body, made.key);
  const done = await submit({ prompt: "lofi beat to study to, rain on the window", title: "Night shift", style: "lofi", duration_seconds: 30, metadata: { order: "A-17" } });
  const more = [];
  for (const prompt of ["a harp in the rain", "drums, far away", "an old radio, slowly tuned"]) more.push(await submit({ prompt, duration_seconds: 20 }));
  await until("the first song", async () => (await call("GET", `/admin/v1/generations/${done.id}`)).status === "succeeded");
  await call("POST", "/admin/v1/queue/pause");
  const waiting = await submit({ prompt: "a choir of one, in a stairwell at night, with a very long prompt that goes on and on ".repeat(6), metadata: { order: "B-2" } });
  const canceled = await submit({ prompt: "never mind" });
  await call("POST", `/admin/v1/generations/${canceled.id}/cancel`);
  for (let number = 1; number <= 12; number += 1) await submit({ prompt: `variation ${number}`, title: number % 3 ? undefined : `Theme, variation ${number}` });
  await call("POST", "/admin/v1/tokens", { tokens: [{ secret: "a-token-to-disable", label: "second account" }] });
  const tokens = await call("GET", "/admin/v1/tokens?limit=1");
  await call("POST", `/admin/v1/tokens/${tokens.data[0].id}/disable`);
  return { account: ada.id, done: done.id, waiting: waiting.id, canceled: canceled.id };
}

async function look(page, name, where) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 1) wrong(where, `${wide} pixels wider than the window`);
  // Run in the page's world from here: its content policy allows no foreign script, and stays on.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const one of found.violations) {
    const places = one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join("; ");
    if (["serious", "critical"].includes(one.impact)) wrong(where, `axe ${one.id} (${one.impact}): ${places}`);
    else console.log(`  ${where}: axe ${one.id} (${one.impact}): ${places}`);
  }
  await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true });
}

async function login(page) {
  await page.goto(`${url}/console`);
  await page.type("#key", key);
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  if (new URL(page.url()).pathname !== "/console") wrong("login", `led to ${page.url()}`);
}

// docs/runbook.md: why does this generation wait, and what to do, with the console alone.
async function walk(page, data) {
  await page.goto(`${url}/console`);
  const verdict = await page.$eval(".verdict", (one) => one.textContent);
  if (!verdict.includes("paused")) wrong("walk", `the overview says ${verdict}`);
  await page.goto(`${url}/console/generations`);
  await page.type("#q", "stairwell");
  await page.waitForFunction(() => document.querySelectorAll("#results tbody tr").length === 1, { timeout: 15000 });
  await Promise.all([page.waitForNavigation(), page.click("#results tbody a")]);
  if (!page.url().endsWith(data.waiting)) wrong("walk", `the search led to ${page.url()}`);
  const why = await page.$eval(".why", (one) => one.textContent);
  if (!why.includes("The queue is paused") || !why.includes("Resume")) wrong("walk", `it says ${why}`);
  await Promise.all([page.waitForNavigation(), page.click("#todo")]);
  await Promise.all([page.waitForNavigation(), page.click("form[action$='queue/resume'] button")]);
  await page.goto(`${url}/console/generations/${data.waiting}`);
  // Live: nobody reloads, and the player comes.
  await page.waitForSelector("audio", { timeout: 60000 });
  const plays = await page.evaluate(async () => {
    const audio = document.querySelector("audio");
    audio.muted = true;
    await audio.play();
    return !audio.paused && audio.duration > 0;
  }).catch((error) => wrong("walk", `it does not play: ${error.message}`));
  if (plays === false) wrong("walk", "it does not play");
}

async function keyboard(page) {
  await page.goto(`${url}/console`);
  await page.keyboard.press("Tab");
  const first = await page.evaluate(() => document.activeElement.className);
  if (first !== "skip") wrong("keyboard", `the first stop is ${first}`);
  await page.keyboard.press("Enter");
  const focused = await page.evaluate(() => document.activeElement.id);
  if (focused !== "main") wrong("keyboard", `skipping led to ${focused}`);
  const visible = await page.evaluate(() => {
    document.querySelector("nav a").focus();
    return document.activeElement.matches(":focus");
  });
  if (!visible) wrong("keyboard", "the navigation takes no focus");
}

async function main() {
  const made = await data();
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"],
  });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(60000);
    page.on("console", (message) => { if (message.type() === "error" && !/status of 4/.test(message.text())) wrong(page.url(), `console: ${message.text()}`); });
    page.on("pageerror", (error) => wrong(page.url(), `script: ${error.message}`));
    page.on("dialog", (dialog) => dialog.accept());
    const pages = {
      overview: "/console", generations: "/console/generations", waiting: `/console/generations/${made.waiting}`,
      done: `/console/generations/${made.done}`, canceled: `/console/generations/${made.canceled}`, accounts: "/console/accounts",
      account: `/console/accounts/${made.account}`, tokens: "/console/tokens", dead: "/console/dead", scaling: "/console/scaling",
      audit: "/console/audit", books: "/console/ledger", playground: "/console/playground", nowhere: "/console/nowhere",
      failed: "/console/generations?status=failed",
    };
    const windows = [[360, "light"], [360, "dark"], [1280, "light"], [1280, "dark"]];
    for (const [width, scheme] of windows) {
      await page.setViewport({ width, height: 800 });
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      if (width === 360 && scheme === "light") {
        await page.goto(`${url}/console/login`);
        await look(page, `login-${width}-${scheme}`, "login");
        await login(page);
      }
      for (const [name, to] of Object.entries(pages)) {
        await page.goto(url + to);
        await look(page, `${name}-${width}-${scheme}`, `${name} ${width} ${scheme}`);
      }
      console.log(`${Object.keys(pages).length} pages at ${width}, ${scheme}`);
    }
    await keyboard(page);
    await walk(page, made);
    await page.goto(`${url}/console`);
    await look(page, "overview-after", "overview after the walk");
  } finally {
    await browser.close();
  }
  if (faults.length) throw new Error(`${faults.length} faults`);
  console.log("console: every page looked at, the walk walked");
}

main().catch((error) => { console.error(error.message); process.exit(1); });
