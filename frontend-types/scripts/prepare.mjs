// Builds dist/ where a package is installed from a clone, whose dist/ is not kept in the repository.
// npm does not install the compiler for a package that it only links, so it is fetched here if need be.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const here = process.cwd()

// A package that was packed before has no sources to build from.
if (existsSync(join(here, 'tsconfig.build.json'))) {
  if (!existsSync(join(here, 'node_modules', 'typescript'))) {
    const install = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
    const stdio = ['ignore', process.stderr, 'inherit']
    execFileSync('npm', install, { cwd: here, stdio, shell: process.platform === 'win32' })
  }
  await import('./build.mjs')
}
