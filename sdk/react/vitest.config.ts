import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const types = (path: string) => fileURLToPath(new URL(`../../frontend-types/src/${path}`, import.meta.url))

export default defineConfig({
  // The package's sources, so that no build of it has to come first.
  resolve: {
    alias: [
      { find: /^@relive\/react$/, replacement: fileURLToPath(new URL('src/index.ts', import.meta.url)) },
      { find: /^@relive\/types$/, replacement: types('index.ts') },
      { find: /^@relive\/types\/stores$/, replacement: types('stores/index.ts') },
    ],
  },
  test: {
    globalSetup: 'test/server.ts',
    include: ['test/**/*.test.{ts,tsx}'],
    environmentOptions: { happyDOM: { settings: { fetch: { disableSameOriginPolicy: true } } } },
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
})
