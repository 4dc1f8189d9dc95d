// Builds dist/ where this package is installed from a clone, whose dist/ is not kept in the repository.
// npm does not install the compiler for a package that it only links, so it is fetched here if need be.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const compiler = join(here, 'node_modules', 'typescript', 'bin', 'tsc')
// Standard output may be read by whoever packs: everything goes to standard error.
const options = { cwd: here, stdio: ['ignore', process.stderr, 'inherit'] }

// A package that was packed before has no sources to build from.
if (existsSync(join(here, 'tsconfig.build.json'))) {
  if (!existsSync(compiler)) {
    const install = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
    execFileSync('npm', install, { ...options, shell: process.platform === 'win32' })
  }
  execFileSync(process.execPath, [compiler, '--project', 'tsconfig.build.json'], options)
}
