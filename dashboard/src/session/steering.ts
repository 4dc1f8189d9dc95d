import { type Command, type CommandReceipt, ReliveError } from '@relive/types'

import { client } from '../app/client'

const retriesAtMost = 4

/**
 * Sends a command until it is carried out or finally refused. All attempts have the same id, so the command
 * is carried out once, however often it is sent, also across reconnects.
 */
export async function send(sessionId: string, command: Command): Promise<CommandReceipt> {
  const commandId = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await client.command(sessionId, command, { commandId })
    } catch (error) {
      if (!(error instanceof ReliveError) || !error.retryable || attempt > retriesAtMost) throw error
      await new Promise((resolve) => setTimeout(resolve, 200 * 2 ** attempt))
    }
  }
}

export function reasonOf(error: unknown): string {
  return error instanceof ReliveError ? `${error.message} (${error.code})` : String(error)
}
