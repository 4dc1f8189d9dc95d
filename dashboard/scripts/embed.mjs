// Adds to dist/ what is shown on other pages: the web component as a script whose name stays the same, and the page
// for frames. The sources are those of sdk/element.
import { copyFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build, loadConfigFromFile } from 'vite'

const here = fileURLToPath(new URL('..', import.meta.url))
const { config } = await loadConfigFromFile({ command: 'build', mode: 'production' }, `${here}vite.config.ts`)

for (const [name, source] of [
  ['relive-session', 'index.ts'],
  ['page', 'page.ts'],
]) {
  await build({
    ...config,
    configFile: false,
    root: here,
    logLevel: 'warn',
    publicDir: false,
    build: {
      ...config.build,
      outDir: 'dist/embed',
      emptyOutDir: false,
      lib: {
        entry: `${here}../sdk/element/src/${source}`,
        // Pages without modules load it too, and those whose origin the server does not allow are told why.
        formats: ['iife'],
        name: 'Relive',
        fileName: () => `${name}.js`,
      },
    },
  })
}
copyFileSync(`${here}embed.html`, `${here}dist/embed.html`)
