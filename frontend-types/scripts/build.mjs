// Builds dist/ of the package in whose folder it is called: ES modules with declarations, and the same as CommonJS in
// dist/cjs.
import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const here = process.cwd()
const compiler = join(here, 'node_modules', 'typescript', 'bin', 'tsc')
// Standard output may be read by whoever packs: everything goes to standard error.
const options = { cwd: here, stdio: ['ignore', process.stderr, 'inherit'] }

rmSync(join(here, 'dist'), { recursive: true, force: true })
for (const project of ['tsconfig.build.json', 'tsconfig.cjs.json'])
  execFileSync(process.execPath, [compiler, '--project', project], options)
// The package's own "type" is "module", so that Node would take these files for ES modules.
writeFileSync(join(here, 'dist/cjs/package.json'), '{ "type": "commonjs" }\n')
