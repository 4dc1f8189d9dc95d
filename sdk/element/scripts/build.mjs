// Builds dist/: a module for bundlers, a script for pages without one, and declarations.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { build, transform } from 'esbuild'

const shared = { entryPoints: ['src/index.ts'], bundle: true, target: 'es2022', sourcemap: true, logLevel: 'warning' }

/** The style sheet is a text in a script, which is not made smaller by itself. */
const smallStyle = {
  name: 'small-style',
  setup({ onLoad }) {
    onLoad({ filter: /element\/src\/style\.ts$/ }, async ({ path }) => {
      const source = readFileSync(path, 'utf8')
      const [, css] = /const css = `([^`]*)`/.exec(source)
      const { code } = await transform(css, { loader: 'css', minify: true, charset: 'utf8' })
      return { contents: source.replace(css, () => code.trim()), loader: 'ts' }
    })
  },
}

rmSync('dist', { recursive: true, force: true })
await build({ ...shared, format: 'esm', outfile: 'dist/index.js' })
await build({ ...shared, format: 'iife', minify: true, plugins: [smallStyle], outfile: 'dist/relive-session.js' })
// Of the sources of others that are built in, no declarations are needed.
const declarations = ['--declaration', '--emitDeclarationOnly', '--noEmit', 'false', '--outDir', 'build/types']
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '--rootDir', '../..', ...declarations], {
  stdio: ['ignore', process.stderr, 'inherit'],
})
mkdirSync('dist', { recursive: true })
for (const name of ['index', 'element', 'token'])
  cpSync(`build/types/sdk/element/src/${name}.d.ts`, `dist/${name}.d.ts`)
