// @vitest-environment happy-dom
// The code in docs/watch-react.md, run against a server.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SocketConstructor } from '@relive/types'
import { act, cleanup, render, screen, waitFor } from '@testing-library/react'
import { type ReactNode, StrictMode } from 'react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { Buttons } from '../examples/control.js'
import { Running } from '../examples/list.js'
import { NodeRow } from '../examples/node.js'
import { Player } from '../examples/replay.js'
import { Card } from '../examples/suspense.js'
import { Relive } from '../examples/token.js'
import { ReliveProvider, useReliveClient } from '../src/index.js'
import { address, command, post, running, say } from './drive.js'

const within = { timeout: 10_000 }
const options = { WebSocket: WebSocket as unknown as SocketConstructor }

beforeEach(() => vi.stubGlobal('WebSocket', WebSocket))
afterEach(() => {
  cleanup()
  vi.unstubAllGlobals()
})

function Page({ children }: { children?: ReactNode }) {
  return (
    <StrictMode>
      <ReliveProvider url={address} options={options}>
        {children}
      </ReliveProvider>
    </StrictMode>
  )
}

test('watch.tsx', async () => {
  const id = await running()
  await command(
    id,
    { type: 'setLabels', name: 'A story' },
    { type: 'setNodeStatus', nodeId: 'plan', status: 'running' },
  )
  await say(id, 'First the bees.', 'plan')
  // As somebody would have edited it.
  const source = readFileSync(join(import.meta.dirname, '../examples/watch.tsx'), 'utf8')
  expect(source).toContain('url="http://127.0.0.1:7400"')
  expect(source).toContain('id="SESSION_ID"')
  const edited = join(import.meta.dirname, '../build/watch.tsx')
  const { mkdirSync, writeFileSync } = await import('node:fs')
  mkdirSync(join(import.meta.dirname, '../build'), { recursive: true })
  writeFileSync(edited, source.replace('http://127.0.0.1:7400', address).replace('SESSION_ID', id))
  const { default: App } = (await import(/* @vite-ignore */ edited)) as typeof import('../examples/watch.js')
  render(<App />)
  await screen.findByText('A story: running', {}, within)
  await screen.findByText('plan: running', {}, within)
  await screen.findByText('First the bees.', {}, within)
})

test('node.tsx', async () => {
  const id = await running()
  render(<NodeRow sessionId={id} nodeId="a" />, { wrapper: Page })
  await screen.findByText(/a: not yet/, {}, within)
  await act(() => command(id, { type: 'setNodeStatus', nodeId: 'a', status: 'running', progress: 0.5 }))
  await screen.findByText(/a: running/, {}, within)
  expect(screen.getByRole<HTMLProgressElement>('progressbar').value).toBe(0.5)
})

test('list.tsx', async () => {
  const id = await running()
  render(<Running />, { wrapper: Page })
  await screen.findByText(`${id}: running, 0 steps done`, {}, within)
})

test('control.tsx', async () => {
  const id = await running()
  render(<Buttons id={id} />, { wrapper: Page })
  const enabled = (name: string) =>
    waitFor(() => {
      const button = screen.getByRole<HTMLButtonElement>('button', { name })
      expect(button.disabled).toBe(false)
      return button
    }, within)
  const pause = await enabled('Pause')
  act(() => pause.click())
  const resume = await enabled('Resume')
  act(() => resume.click())
  await enabled('Pause')
  const cancel = await enabled('Cancel')
  act(() => cancel.click())
  await waitFor(
    () => expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Pause' }).disabled).toBe(true),
    within,
  )
})

test('replay.tsx', async () => {
  const id = await running()
  await say(id, 'hello')
  await command(id, { type: 'complete' })
  render(<Player id={id} />, { wrapper: Page })
  const play = await screen.findByRole('button', { name: 'Play' }, within)
  await screen.findByText(/Revision 1: pending, 0 messages/, {}, within)
  act(() => play.click())
  await screen.findByText('Revision 4: completed, 1 messages', {}, within)
})

test('suspense.tsx', async () => {
  const { id } = await post<{ id: string }>('/sessions', { name: 'A story' })
  await act(async () => render(<Card id={id} />, { wrapper: Page }))
  await screen.findByRole('heading', { name: 'A story' }, within)
})

test('token.tsx', async () => {
  const asked: string[] = []
  vi.stubGlobal('fetch', async (url: string, init?: RequestInit) => {
    asked.push(`${url} ${new Headers(init?.headers).get('authorization') ?? ''}`.trim())
    return new Response(url === '/relive-token' ? 'a-token' : '{}')
  })
  function Ask() {
    const client = useReliveClient()
    return (
      <button type="button" onClick={() => void client.fetch('/api/v1/me')}>
        Ask
      </button>
    )
  }
  render(
    <Relive>
      <Ask />
    </Relive>,
  )
  act(() => screen.getByRole('button').click())
  await waitFor(
    () => expect(asked).toEqual(['/relive-token', 'https://relive.example.org/api/v1/me Bearer a-token']),
    within,
  )
})
