import type { Command, WorkflowSession } from '@relive/types'
import { inject } from 'vitest'

export const address = inject('address')

export async function post<Answer>(path: string, body: unknown): Promise<Answer> {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${address}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`)
  return answer.status === 204 ? (undefined as Answer) : ((await answer.json()) as Answer)
}

export async function running(): Promise<string> {
  const { id } = await post<WorkflowSession>('/sessions', {})
  await command(id, { type: 'start' })
  return id
}

export function command(id: string, ...commands: Command[]): Promise<unknown> {
  return post(`/sessions/${id}/commands`, commands)
}

export function say(id: string, content: string, nodeId = 'a'): Promise<unknown> {
  return command(id, { type: 'addMessage', nodeId, content })
}
