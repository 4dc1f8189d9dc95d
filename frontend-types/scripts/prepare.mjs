// Builds dist/ where a package is installed from a clone, whose dist/ is not kept in the repository: that of the
// package in whose folder it is called, and before it that of this one. npm prepares several packages at a time.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const types = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '')
const shell = process.platform === 'win32'
// Standard output may be read by whoever packs: everything goes to standard error.
const npm = (folder, ...given) =>
  execFileSync('npm', given, { cwd: folder, stdio: ['ignore', process.stderr, 'inherit'], shell })
/** How long another may take to build the same package. */
const othersMs = 180_000

for (const folder of new Set([types, process.cwd()])) await prepare(folder)

async function prepare(folder) {
  // A package that was packed before has no sources to build from.
  if (!existsSync(join(folder, 'src')) || !existsSync(join(folder, 'tsconfig.json'))) return
  const lock = join(folder, '.building')
  while (!take(lock)) await new Promise((resolve) => setTimeout(resolve, 100))
  try {
    if (isBuilt(folder)) return
    // npm does not install the compiler for a package that it only links.
    if (!existsSync(join(folder, 'node_modules', 'typescript')))
      npm(folder, 'ci', '--ignore-scripts', '--no-audit', '--no-fund')
    npm(folder, 'run', '--silent', 'build')
  } finally {
    rmSync(lock, { recursive: true, force: true })
  }
}

function take(lock) {
  try {
    mkdirSync(lock)
    return true
  } catch {
    const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()
    // Whoever took it has ended without giving it back.
    if (Date.now() - since > othersMs) rmSync(lock, { recursive: true, force: true })
    return false
  }
}

/** Whether dist/ is newer than everything it is built of. */
function isBuilt(folder) {
  const built = statSync(join(folder, 'dist/index.d.ts'), { throwIfNoEntry: false })?.mtimeMs
  if (built === undefined) return false
  const sources = readdirSync(join(folder, 'src'), { recursive: true }).map((name) => join(folder, 'src', name))
  return [...sources, join(folder, 'package.json')].every((name) => statSync(name).mtimeMs <= built)
}
