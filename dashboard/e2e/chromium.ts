import { execFileSync } from 'node:child_process'

/** The browser of this machine: what `CHROMIUM` names, or the first that is found. */
export function chromium(): string {
  const given = process.env['CHROMIUM']
  if (given !== undefined && given !== '') return given
  for (const name of ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']) {
    try {
      return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim()
    } catch {
      // Not this one.
    }
  }
  throw new Error('no Chromium found: install one, or name it in CHROMIUM')
}
