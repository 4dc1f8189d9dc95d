import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const types = (path: string) => fileURLToPath(new URL(`../../frontend-types/src/${path}`, import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^@relive\/types$/, replacement: types('index.ts') },
      { find: /^@relive\/types\/stores$/, replacement: types('stores/index.ts') },
    ],
  },
  test: { include: ['test/**/*.test.ts'], testTimeout: 30_000 },
})
