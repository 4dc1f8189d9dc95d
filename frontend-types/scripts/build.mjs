// Builds dist/ of the package in whose folder it is called: ES modules with declarations, and the same as CommonJS in
// dist/cjs. What was there stays until it is replaced.
import { execFileSync } from 'node:child_process'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const here = process.cwd()
const compiler = join(here, 'node_modules', 'typescript', 'bin', 'tsc')
const fresh = join(here, `dist.${process.pid}`)
const compile = (project, outDir) =>
  execFileSync(process.execPath, [compiler, '--project', project, '--outDir', outDir], {
    cwd: here,
    // Standard output may be read by whoever packs: everything goes to standard error.
    stdio: ['ignore', process.stderr, 'inherit'],
  })

try {
  compile('tsconfig.build.json', fresh)
  compile('tsconfig.cjs.json', join(fresh, 'cjs'))
  // The package's own "type" is "module", so that Node would take these files for ES modules.
  writeFileSync(join(fresh, 'cjs/package.json'), '{ "type": "commonjs" }\n')
  rmSync(join(here, 'dist'), { recursive: true, force: true })
  renameSync(fresh, join(here, 'dist'))
} finally {
  rmSync(fresh, { recursive: true, force: true })
}
