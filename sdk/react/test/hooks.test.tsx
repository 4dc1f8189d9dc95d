// @vitest-environment happy-dom
import type { Command, WorkflowSession } from '@relive/types'
import { act, cleanup, render, renderHook, screen, waitFor } from '@testing-library/react'
import { Activity, Component, type ReactNode, StrictMode, Suspense, useState } from 'react'
import { renderToString } from 'react-dom/server'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  ReliveProvider,
  useConnection,
  useControl,
  useMessages,
  useReplay,
  useSession,
  useSessions,
} from '../src/index.js'
import { address, command, post, running, say } from './drive.js'
import { recordedSocket } from './recorded-socket.js'
import { Relay } from './relay.js'

let relay: Relay
let socket: ReturnType<typeof recordedSocket>

beforeEach(async () => {
  relay = await Relay.to(address)
  socket = recordedSocket()
})
afterEach(() => {
  cleanup()
  relay.close()
})

const backoff = { firstMs: 10, mostMs: 50 }

function Relive({ children, url = relay.url }: { children?: ReactNode; url?: string }) {
  const { WebSocket } = socket
  return (
    <ReliveProvider url={url} options={{ WebSocket, backoff }}>
      {children}
    </ReliveProvider>
  )
}

function Strict({ children }: { children?: ReactNode }) {
  return (
    <StrictMode>
      <Relive>{children}</Relive>
    </StrictMode>
  )
}

const within = { timeout: 10_000 }

test('two components on one session, in StrictMode, share one socket and one subscription', async () => {
  const id = await running()
  function Status() {
    const { data } = useSession(id, { select: ({ status }) => status })
    return <p>status {data}</p>
  }
  function Nodes() {
    const { data } = useSession(id, { select: ({ nodes }) => Object.keys(nodes).length })
    return <p>nodes {data}</p>
  }
  const page = render(
    <Strict>
      <Status />
      <Nodes />
      <Nodes />
    </Strict>,
  )
  await screen.findByText('status running', {}, within)
  await act(() => command(id, { type: 'setNodeStatus', nodeId: 'a', status: 'running' }))
  await waitFor(() => expect(screen.getAllByText('nodes 1')).toHaveLength(2), within)
  expect(socket.opened).toEqual(['/ws'])
  expect(socket.sent.map(({ type }) => type)).toEqual(['subscribe'])
  page.unmount()
  await waitFor(() => expect(socket.open.size).toBe(0), within)
})

test('a component is rendered again only when what it selected has changed', async () => {
  const id = await running()
  const drawn = { status: 0, pair: 0, whole: 0 }
  function Status() {
    useSession(id, { select: ({ status }) => status })
    drawn.status += 1
    return null
  }
  function Pair() {
    // A new object each time: its members are compared.
    useSession(id, { select: ({ nodes, status }) => ({ status, a: nodes['a'] }) })
    drawn.pair += 1
    return null
  }
  function Whole() {
    const { data } = useSession(id)
    drawn.whole += 1
    return <p>revision {data?.revision}</p>
  }
  render(
    <Relive>
      <Status />
      <Pair />
      <Whole />
    </Relive>,
  )
  await screen.findByText('revision 2', {}, within)
  const before = { ...drawn }
  for (let value = 0; value < 5; value += 1) {
    await act(() => command(id, { type: 'setContext', key: 'x', value }))
    await screen.findByText(`revision ${3 + value}`, {}, within)
  }
  expect(drawn.whole - before.whole).toBe(5)
  expect([drawn.status - before.status, drawn.pair - before.pair]).toEqual([0, 0])
  await act(() => command(id, { type: 'setNodeStatus', nodeId: 'a', status: 'running' }))
  await screen.findByText('revision 8', {}, within)
  expect([drawn.status - before.status, drawn.pair - before.pair]).toEqual([0, 1])
})

test('messages of before, of now, and of while the connection was lost', async () => {
  const id = await running()
  for (const text of ['one', 'two']) await say(id, text)
  const { result } = renderHook(() => ({ ...useMessages(id), connection: useConnection() }), { wrapper: Strict })
  const texts = () => result.current.messages.map(({ content }) => content)
  await waitFor(() => expect(texts()).toEqual(['one', 'two']), within)
  await act(() => say(id, 'three'))
  await waitFor(() => expect(texts()).toEqual(['one', 'two', 'three']), within)

  act(() => relay.cut())
  await waitFor(() => expect(result.current.connection.state).not.toBe('open'), within)
  for (const text of ['four', 'five']) await say(id, text)
  act(() => relay.mend())
  await waitFor(() => expect(texts()).toEqual(['one', 'two', 'three', 'four', 'five']), within)
  await act(() => say(id, 'six'))
  await waitFor(() => expect(texts().at(-1)).toBe('six'), within)
  expect(new Set(result.current.messages.map((message) => message.id)).size).toBe(6)
})

test('a message grows while it is written, and is there once when it is done', async () => {
  const id = await running()
  const { result } = renderHook(() => useMessages(id, { nodeId: 'a' }), { wrapper: Strict })
  await waitFor(() => expect(result.current.status).toBe('live'), within)
  const seen = () => result.current.messages.map(({ content, isStreaming }) => [content, isStreaming])
  const chunk = (text: string, nodeId = 'a') =>
    post(`/sessions/${id}/tokens`, [{ nodeId, messageId: `m-${nodeId}`, text }])
  await act(() => chunk('Once '))
  await act(() => chunk('elsewhere', 'b'))
  await act(() => chunk('upon'))
  await waitFor(() => expect(seen()).toEqual([['Once upon', true]]), within)
  await act(() => command(id, { type: 'addMessage', messageId: 'm-a', nodeId: 'a', content: 'Once upon a time' }))
  await waitFor(() => expect(seen()).toEqual([['Once upon a time', false]]), within)
})

test('older messages are read page by page, none twice and none missing', async () => {
  const id = await running()
  for (let page = 0; page < 3; page += 1) {
    const commands = Array.from({ length: 500 }, (_, index) => ({ nodeId: 'a', content: `${page * 500 + index}` }))
    await command(id, ...commands.map((said) => ({ type: 'addMessage', ...said }) as Command))
  }
  const { result } = renderHook(() => useMessages(id), { wrapper: Relive })
  await waitFor(() => expect(result.current.messages).toHaveLength(200), within)
  expect(result.current.hasEarlier).toBe(true)
  for (let page = 0; result.current.hasEarlier && page < 5; page += 1) await act(() => result.current.readEarlier())
  await waitFor(() => expect(result.current.hasEarlier).toBe(false), within)
  const texts = result.current.messages.map(({ content }) => Number(content))
  expect(texts).toEqual(Array.from({ length: 1500 }, (_, index) => index))
})

test('messages that are wanted later come over the same socket', async () => {
  const id = await running()
  await say(id, 'hello')
  function Page() {
    const { data } = useSession(id, { select: ({ status }) => status })
    const [isOpen, setOpen] = useState(false)
    return (
      <>
        <button type="button" onClick={() => setOpen(true)}>
          {data}
        </button>
        {isOpen && <Messages />}
      </>
    )
  }
  function Messages() {
    return useMessages(id).messages.map(({ id, content }) => <p key={id}>{content}</p>)
  }
  render(<Page />, { wrapper: Strict })
  const button = await screen.findByText('running', {}, within)
  act(() => button.click())
  await screen.findByText('hello', {}, within)
  await act(() => say(id, 'again'))
  await screen.findByText('again', {}, within)
  expect(socket.opened).toEqual(['/ws'])
})

class Boundary extends Component<{ children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {}
  static getDerivedStateFromError(error: Error) {
    return { error }
  }
  override render() {
    return this.state.error === undefined ? this.props.children : <p>caught {this.state.error.message}</p>
  }
}

test('with suspense the first state is waited for, and an error is thrown', async () => {
  const id = await running()
  await say(id, 'hello')
  function Page({ id }: { id: string }) {
    const { data } = useSession(id, { suspense: true })
    const { messages } = useMessages(id, { suspense: true })
    return (
      <p>
        {data.status}, {messages.map(({ content }) => content)}
      </p>
    )
  }
  const page = (id: string) => (
    <Strict>
      <Boundary key={id}>
        <Suspense fallback={<p>waiting</p>}>
          <Page id={id} />
        </Suspense>
      </Boundary>
    </Strict>
  )
  const { rerender } = await act(async () => render(page(id)))
  await screen.findByText('running, hello', {}, within)
  const silent = vi.spyOn(console, 'error').mockImplementation(() => {})
  await act(async () => rerender(page('0198c0de-0000-7000-8000-000000000001')))
  await screen.findByText(/caught .*session/, {}, within)
  silent.mockRestore()
  expect(socket.opened).toEqual(['/ws'])
})

test('a session that is not there has failed, and says why', async () => {
  const { result } = renderHook(() => useSession('0198c0de-0000-7000-8000-000000000001'), { wrapper: Strict })
  await waitFor(() => expect(result.current.status).toBe('failed'), within)
  expect(result.current.error?.code).toBe('not_found')
  expect(result.current.data).toBeUndefined()
})

test('without an id a component waits, and asks for nothing', async () => {
  const id = await running()
  const { result, rerender } = renderHook(({ id }: { id?: string }) => useSession(id), {
    wrapper: Strict,
    initialProps: {},
  })
  expect(result.current.status).toBe('loading')
  expect(socket.opened).toEqual([])
  rerender({ id })
  await waitFor(() => expect(result.current.data?.id).toBe(id), within)
})

test('a list is live, shared by equal filters, and sorted', async () => {
  const tag = `list-${crypto.randomUUID()}`
  const create = () => post<WorkflowSession>('/sessions', { tags: [tag] })
  const first = await create()
  const filters = { text: tag }
  const { result } = renderHook(() => [useSessions(filters), useSessions({ text: tag })] as const, { wrapper: Strict })
  const ids = () => result.current[0].sessions.map(({ id }) => id)
  await waitFor(() => expect(ids()).toEqual([first.id]), within)
  const second = await create()
  await waitFor(() => expect(ids()).toEqual([second.id, first.id]), within)
  const kept = result.current[0].sessions[1]
  await act(() => command(second.id, { type: 'start' }))
  await waitFor(() => expect(result.current[0].sessions[0]?.status).toBe('running'), within)
  expect(result.current[0].sessions[1]).toBe(kept)
  expect(result.current[1].sessions).toBe(result.current[0].sessions)
  expect(socket.opened).toEqual(['/ws/sessions'])
})

test('controls act, and say what was refused', async () => {
  const id = await running()
  const { result } = renderHook(() => ({ control: useControl(id), session: useSession(id) }), { wrapper: Strict })
  await waitFor(() => expect(result.current.session.status).toBe('live'), within)
  const { pause } = result.current.control
  await act(() => pause())
  await waitFor(() => expect(result.current.session.data?.status).toBe('paused'), within)
  expect(result.current.control.pause).toBe(pause)
  await act(() => expect(pause()).rejects.toMatchObject({ code: 'illegal_transition' }))
  expect(result.current.control.error?.code).toBe('illegal_transition')
  await act(() => result.current.control.resume())
  expect(result.current.control.error).toBeUndefined()
  await act(() =>
    command(
      id,
      { type: 'setNodeStatus', nodeId: 'ask', status: 'running' },
      { type: 'setNodeStatus', nodeId: 'ask', status: 'suspended' },
    ),
  )
  await act(() => result.current.control.review('ask', 'approve', { reviewer: 'Ada' }))
  await act(() => result.current.control.cancel('enough'))
  await waitFor(() => expect(result.current.session.status).toBe('ended'), within)
  expect(result.current.control.isPending).toBe(false)
})

test('a replay plays, and goes where it is told', async () => {
  const id = await running()
  for (let value = 0; value < 8; value += 1) await command(id, { type: 'setContext', key: 'x', value })
  await command(id, { type: 'complete' })
  const { result } = renderHook(() => useReplay(id, { speed: 'max' }), { wrapper: Strict })
  await waitFor(() => expect(result.current.hasEnded).toBe(true), within)
  expect(result.current.session?.status).toBe('completed')
  act(() => void result.current.seek({ revision: 4 }))
  await waitFor(() => expect(result.current.session?.revision).toBe(4), within)
  act(() => void result.current.step(-1))
  await waitFor(() => expect(result.current.state?.revision).toBe(3), within)
  expect(result.current.hasEnded).toBe(false)
  // StrictMode begins one and gives it up.
  await waitFor(() => expect(socket.open.size).toBe(1), within)
})

test('hidden and shown again, everything is as live as before', async () => {
  const id = await running()
  function Revision() {
    return <p>revision {useSession(id).data?.revision}</p>
  }
  const page = (mode: 'visible' | 'hidden') => (
    <Activity mode={mode}>
      <Strict>
        <Revision />
      </Strict>
    </Activity>
  )
  const { rerender } = render(page('visible'))
  await screen.findByText('revision 2', {}, within)
  rerender(page('hidden'))
  await waitFor(() => expect(socket.open.size).toBe(0), within)
  await command(id, { type: 'setContext', key: 'x', value: 1 })
  rerender(page('visible'))
  await screen.findByText('revision 3', {}, within)
})

test('another address is another client, and nothing of the one before is shown', async () => {
  const id = await running()
  const elsewhere = await Relay.to(address)
  elsewhere.cut()
  const seen: (string | undefined)[] = []
  function Page() {
    const { data } = useSession(id)
    seen.push(data?.id)
    return <p>{data?.id ?? 'nothing'}</p>
  }
  const page = (url: string) => (
    <StrictMode>
      <Relive url={url}>
        <Page />
      </Relive>
    </StrictMode>
  )
  const { rerender } = render(page(relay.url))
  await screen.findByText(id, {}, within)
  seen.length = 0
  rerender(page(elsewhere.url))
  await screen.findByText('nothing', {}, within)
  expect(seen).not.toContain(id)
  elsewhere.mend()
  await screen.findByText(id, {}, within)
  elsewhere.close()
})

test('on a server the first picture is one that waits', async () => {
  const id = await running()
  function Page() {
    return <p>{[useSession(id).status, useMessages(id).status, useSessions().status].join()}</p>
  }
  const html = renderToString(
    <Relive>
      <Page />
    </Relive>,
  )
  expect(html).toContain('loading,loading,loading')
  expect(socket.opened).toEqual([])
})

test('without a provider it says so', () => {
  const silent = vi.spyOn(console, 'error').mockImplementation(() => {})
  expect(() => renderHook(() => useSession('x'))).toThrow('<ReliveProvider>')
  silent.mockRestore()
})
