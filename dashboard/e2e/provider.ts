import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { repository } from './server'

const folder = join(repository, 'tests/oidc')

/** The identity provider of the server's own tests, whose people sign in by themselves. */
export class Provider {
  readonly issuer: string
  readonly #process: ChildProcess

  private constructor(issuer: string, process: ChildProcess) {
    this.issuer = issuer
    this.#process = process
  }

  static async start(redirectUri: string): Promise<Provider> {
    if (!existsSync(join(folder, 'node_modules')))
      execFileSync('npm', ['ci', '--silent', '--no-audit', '--no-fund'], { cwd: folder })
    const child = spawn('node', ['provider.mjs'], {
      cwd: folder,
      env: { ...process.env, REDIRECT_URI: redirectUri },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    const lines = createInterface({ input: child.stdout })
    const issuer = await new Promise<string>((resolve, reject) => {
      lines.on('line', (line) => line.startsWith('issuer ') && resolve(line.slice('issuer '.length)))
      child.once('exit', (code) => reject(new Error(`the provider ended with ${code}`)))
    })
    return new Provider(issuer, child)
  }

  close(): void {
    this.#process.kill()
  }
}
