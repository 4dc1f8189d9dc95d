import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { constants, gzipSync } from 'node:zlib'

import react from '@vitejs/plugin-react'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

// Where `npm run dev` finds a server to talk to.
const server = process.env.RELIVE_SERVER ?? 'http://127.0.0.1:7400'

/** Writes each file packed as well, so that the server packs nothing while it serves. */
function packed(): Plugin {
  return {
    name: 'packed',
    apply: 'build',
    // Not earlier: Vite itself fills in what scripts load on demand after the bundle was generated.
    writeBundle({ dir = 'dist' }, bundle) {
      for (const [fileName, file] of Object.entries(bundle)) {
        // Fonts are packed already.
        if (fileName.endsWith('.woff2')) continue
        const content = Buffer.from(file.type === 'chunk' ? file.code : file.source)
        const source = gzipSync(content, { level: constants.Z_BEST_COMPRESSION })
        if (source.length < content.length) writeFileSync(join(dir, `${fileName}.gz`), source)
      }
    },
  }
}

export default defineConfig({
  // The server is told at its start below which path it is found, and writes that into the page.
  base: './',
  plugins: [react(), packed()],
  resolve: {
    // The package's sources, so that no build of it has to come first.
    alias: [
      {
        find: /^@relive\/types$/,
        replacement: fileURLToPath(new URL('../frontend-types/src/index.ts', import.meta.url)),
      },
      {
        find: /^@relive\/types\/stores$/,
        replacement: fileURLToPath(new URL('../frontend-types/src/stores/index.ts', import.meta.url)),
      },
    ],
  },
  worker: { format: 'es' },
  // Style sheets are read too: the contrast of their colours is tested.
  test: { include: ['src/**/*.test.ts'], css: true },
  build: {
    target: 'es2022',
    // The Content-Security-Policy allows nothing inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: { '/api': { target: server, changeOrigin: true }, '/ws': { target: server, changeOrigin: true, ws: true } },
  },
})
