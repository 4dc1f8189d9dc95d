import { defineConfig } from '@playwright/test'

import { chromium } from './e2e/chromium'

export default defineConfig({
  testDir: 'e2e',
  outputDir: 'test-results',
  // Each worker has a server and a PostgreSQL of its own.
  workers: 2,
  fullyParallel: true,
  timeout: 120_000,
  expect: { timeout: 15_000 },
  // A second try, so that one slow moment of a busy machine does not cost the whole run; what passes only
  // then is listed as flaky, to be mended.
  retries: 1,
  reporter: [['list']],
  forbidOnly: true,
  projects: [
    { name: 'pages', testIgnore: /(large|busy).spec.ts/ },
    // By themselves: they count frames, of which others beside them would take their share.
    { name: 'frames', testMatch: /(large|busy).spec.ts/, dependencies: ['pages'] },
  ],
  use: {
    browserName: 'chromium',
    viewport: { width: 1440, height: 900 },
    locale: 'en-US',
    // A trace looks at the whole page at every step, which slows everything down.
    trace: 'off',
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: chromium(),
      // Its sandbox does not work as root, which containers often are.
      args: [
        ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
        // Pages of another build (`e2e/fixtures.ts`) have no address that the browser takes for a local one.
        ...(process.env['RELIVE_PAGES'] === undefined ? [] : ['--disable-features=LocalNetworkAccessChecks']),
      ],
    },
  },
})
