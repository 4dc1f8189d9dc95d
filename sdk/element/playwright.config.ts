import { defineConfig } from '@playwright/test'
import { chromium } from '../../dashboard/e2e/chromium'

export default defineConfig({
  testDir: 'e2e',
  outputDir: 'build/test-results',
  // All share a server.
  workers: 1,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: [['list']],
  forbidOnly: true,
  use: {
    browserName: 'chromium',
    viewport: { width: 1000, height: 700 },
    trace: 'off',
    launchOptions: {
      executablePath: chromium(),
      // Its sandbox does not work as root, which containers often are.
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    },
  },
})
