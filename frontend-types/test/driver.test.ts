import assert from 'node:assert/strict'
import { test as base } from 'node:test'
import { encode } from '../src/driver/encode.js'
import { Cancelled, type ReportProblem, type RunOptions, run } from '../src/index.js'
import { ReportServer, type Sent } from './report-server.js'

interface Reporting {
  server: ReportServer
  options: RunOptions
  problems: ReportProblem[]
}

function test(name: string, body: (reporting: Reporting) => Promise<void>): void {
  void base(name, async () => {
    const server = await ReportServer.start()
    const problems: ReportProblem[] = []
    const onProblem = (problem: ReportProblem) => problems.push(problem)
    const options: RunOptions = { url: server.url, onProblem, backoff: { firstMs: 1, mostMs: 5 } }
    try {
      await body({ server, options, problems })
    } finally {
      await server.stop()
    }
  })
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

/** Without the times, which are never the same. */
function plain(commands: readonly Sent[]): Sent[] {
  return commands.map(({ startedAt: _, completedAt: __, at: ___, ...rest }) => rest as Sent)
}

test('a run is recorded as a session, its steps as nodes in order', async ({ server, options, problems }) => {
  const result = await run('Nightly ETL', { ...options, tags: ['etl'], inputs: { day: 3 } }, async (run) => {
    run.context('region', 'eu')
    const rows = await run.node('fetch', { kind: 'tool', input: { url: 'x' } }, async (node) => {
      node.log('half way')
      node.usage({ model: 'm', inputTokens: 3, outputTokens: 4 })
      node.message('Found them.', { id: 'm1', tokenCount: 2 })
      node.output({ rows: 42 })
      return 42
    })
    run.outputs({ rows })
    return rows
  })
  assert.equal(result, 42)
  assert.equal(server.created.length, 1)
  const { id, ...session } = server.created[0] ?? {}
  assert.match(String(id), /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.deepEqual(session, { name: 'Nightly ETL', tags: ['etl'], inputs: { day: 3 } })
  assert.deepEqual(plain(server.commands.items), [
    { type: 'start', leaseSeconds: 60 },
    { type: 'setContext', key: 'region', value: 'eu' },
    {
      type: 'setNodeStatus',
      nodeId: 'fetch',
      status: 'running',
      name: 'fetch',
      kind: 'tool',
      input: { url: 'x' },
    },
    { type: 'addLog', nodeId: 'fetch', level: 'info', text: 'half way' },
    { type: 'recordUsage', nodeId: 'fetch', model: 'm', inputTokens: 3, outputTokens: 4 },
    { type: 'addMessage', messageId: 'm1', nodeId: 'fetch', content: 'Found them.', tokenCount: 2 },
    { type: 'setNodeStatus', nodeId: 'fetch', status: 'completed', output: { rows: 42 } },
    { type: 'complete', outputs: { rows: 42 } },
  ])
  const times = server.commands.items.filter(({ nodeId }) => nodeId === 'fetch')
  assert.match(String(times[0]?.['startedAt']), /^\d{4}-.*Z$/)
  assert.match(String(times.at(-1)?.['completedAt']), /^\d{4}-.*Z$/)
  assert.deepEqual(problems, [])
})

test('what the program throws is recorded, and thrown', async ({ server, options }) => {
  const failure = new RangeError('no rows')
  const running = run('x', options, (run) =>
    run.node('fetch', () => {
      throw failure
    }),
  )
  await assert.rejects(running, failure)
  const [, , failed, end] = server.commands.items
  assert.equal(failed?.['status'], 'failed')
  assert.match(String(failed?.['error']), /RangeError: no rows/)
  assert.equal(end?.type, 'fail')
  assert.match(String(end?.['error']), /no rows/)
})

test('steps nest, and those at the same time are instances beside each other', async ({ server, options }) => {
  await run('x', options, async (run) => {
    await run.node('outer', (outer) => outer.node('inner', () => {}))
    await Promise.all([1, 2, 3].map(() => run.node('score', () => new Promise((resolve) => setImmediate(resolve)))))
    await run.node('score', () => {})
  })
  const begun = server.commands.items.filter(({ status }) => status === 'running')
  assert.deepEqual(
    begun.map(({ nodeId, parentNodeId }) => [nodeId, parentNodeId]),
    [
      ['outer', undefined],
      ['outer/inner', 'outer'],
      ['score', undefined],
      ['score#2', undefined],
      ['score#3', undefined],
      ['score', undefined],
    ],
  )
})

test('of progress the newest counts, and it never overtakes a status', async ({ server, options }) => {
  await run('x', options, (run) =>
    run.node('a', (node) => {
      for (let step = 0; step <= 100; step += 1) node.progress(step / 100)
      node.progress(Number.NaN)
      node.progress(7)
      setImmediate(() => node.progress(0.1))
    }),
  )
  assert.deepEqual(
    server.commands.items.filter(({ nodeId }) => nodeId === 'a').map(({ status, progress }) => [status, progress]),
    [
      ['running', undefined],
      ['running', 1],
      ['completed', undefined],
    ],
  )
})

test('what was carried out although the answer was lost is not done twice', async ({ server, options }) => {
  let cuts = 0
  server.fail = () => (cuts++ % 2 === 0 ? 'cut' : undefined)
  await run('x', options, async (run) => {
    for (const name of ['a', 'b', 'c'])
      await run.node(name, () => server.commands.next(({ nodeId }) => nodeId === name))
  })
  assert.equal(server.created.length, 1)
  assert.deepEqual(
    plain(server.commands.items).map(({ nodeId, status, type }) => [nodeId ?? type, status]),
    [
      ['start', undefined],
      ...['a', 'b', 'c'].flatMap((name) => [
        [name, 'running'],
        [name, 'completed'],
      ]),
      ['complete', undefined],
    ],
  )
})

test('a server that is away slows nothing, and gets everything when it is back', async ({ server, options }) => {
  await server.stop()
  const began = performance.now()
  let worked = 0
  const running = run('x', { ...options, backoff: { firstMs: 20, mostMs: 20 } }, async (run) => {
    for (let index = 0; index < 100; index += 1) await run.node(`n${index}`, (node) => node.log('x'))
    worked = performance.now() - began
  })
  while (worked === 0) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(worked < 1_000, `the program took ${worked} ms`)
  await server.listen()
  await running
  assert.equal(server.commands.items.length, 1 + 100 * 3 + 1)
})

test('at the end it is waited for only so long, and said what is missing', async ({ server, options, problems }) => {
  await server.stop()
  const began = performance.now()
  const result = await run('x', { ...options, flushMs: 60 }, (run) => run.node('a', () => 'done'))
  assert.equal(result, 'done')
  assert.ok(performance.now() - began < 2_000)
  assert.match(problems.map(({ message }) => message).join('\n'), /4 commands were not recorded/)
  await server.listen()
})

test('a busy server is given the time it asks for', async ({ server, options, problems }) => {
  const at: number[] = []
  server.fail = () => {
    at.push(performance.now())
    return at.length === 1
      ? { status: 429, code: 'rate_limited', retryable: true, headers: { 'retry-after': '1' } }
      : undefined
  }
  await run('x', options, () => {})
  assert.ok((at[1] ?? 0) - (at[0] ?? 0) >= 990)
  assert.equal(server.commands.items.length, 2)
  assert.deepEqual(problems, [])
})

test('a proxy without a server behind it is not a refusal', async ({ server, options, problems }) => {
  let asked = 0
  server.fail = () => (asked++ < 3 ? { status: 502 } : undefined)
  await run('x', options, () => {})
  assert.equal(server.commands.items.length, 2)
  assert.deepEqual(problems, [])
})

test('a refused command takes none of its batch with it', async ({ server, options, problems }) => {
  server.fail = (_, commands) =>
    commands.some(({ key }) => key === 'bad') ? { status: 413, code: 'too_large' } : undefined
  await run('x', options, (run) => {
    for (const key of ['a', 'b', 'bad', 'c', 'd']) run.context(key, 1)
  })
  assert.deepEqual(
    server.commands.items.map(({ type, key }) => key ?? type),
    ['start', 'a', 'b', 'c', 'd', 'complete'],
  )
  assert.match(problems[0]?.message ?? '', /too_large/)
})

test('without permission nothing more is tried, and the program goes on', async ({ server, options, problems }) => {
  server.fail = () => ({ status: 401, code: 'unauthorized' })
  let tell: () => void
  const refused = new Promise<void>((resolve) => (tell = resolve))
  const onProblem = (problem: ReportProblem) => {
    problems.push(problem)
    tell()
  }
  const result = await run('x', { ...options, token: 'wrong', onProblem }, async (run) => {
    await run.node('a', () => refused)
    await run.node('b', () => {})
    assert.equal(run.signal.aborted, false)
    return 7
  })
  assert.equal(result, 7)
  assert.equal(server.requests.length, 1)
  assert.equal(server.requests[0]?.authorization, 'Bearer wrong')
  assert.match(problems[0]?.message ?? '', /nothing more is recorded: refused: unauthorized/)
})

test('a run that somebody cancels hears of it', async ({ server, options }) => {
  server.fail = (_, commands) =>
    commands.some(({ nodeId }) => nodeId === 'b') ? { status: 409, code: 'illegal_transition' } : undefined
  server.status = 'cancelled'
  let reason: unknown
  await run('x', options, async (run) => {
    await run.node('a', () => {})
    await run.node('b', () => new Promise<void>((resolve) => run.signal.addEventListener('abort', () => resolve())))
    reason = run.signal.reason
  })
  assert.match(String(reason), /ended from outside/)
  // One for the session, some for what was accepted, one that was refused; no tries of each command.
  assert.ok(server.requests.length <= 6, `${server.requests.length} requests`)
})

test('what others ask of a run reaches it: it is paused, resumed and cancelled', async ({
  server,
  options,
  problems,
}) => {
  const order: string[] = []
  const running = run('x', options, async (run) => {
    const frames = await server.streams.next()
    frames.send({ type: 'delta', base: 2, revision: 3, patch: { status: 'paused' } })
    await until(() => run.isPaused)
    const held = run.node('held', () => order.push('held'))
    const waited = run.checkpoint().then(() => order.push('checkpoint'))
    await new Promise((resolve) => setImmediate(resolve))
    order.push('resumed')
    frames.send({ type: 'delta', base: 3, revision: 4, patch: { status: 'running' } })
    await Promise.all([held, waited])
    const asked = run.node('review', (node) => node.review('draft'))
    await server.commands.next(({ status }) => status === 'suspended')
    const events = await server.streams.next()
    events.send({ type: 'end', status: 'cancelled', revision: 5 })
    await assert.rejects(asked, Cancelled)
    assert.ok(run.signal.reason instanceof Cancelled)
    await run.node('late', () => order.push('late'))
  })
  await assert.rejects(running, (error) => error instanceof Cancelled && error.code === 'illegal_transition')
  assert.deepEqual(order, ['resumed', 'held', 'checkpoint'])
  // Somebody else has ended it; the program does not end it again.
  assert.ok(!server.commands.items.some(({ type }) => type === 'fail' || type === 'cancel' || type === 'complete'))
  assert.deepEqual(problems, [])
})

test('a program that gives up cancels its run', async ({ server, options }) => {
  const running = run('x', options, () => {
    throw new Cancelled('no more tea')
  })
  await assert.rejects(running, Cancelled)
  assert.deepEqual(server.commands.items.at(-1), { type: 'cancel', reason: 'no more tea' })
})

test('answers are heard as events, each once, also on a new stream', async ({ server, options }) => {
  const answers = await run('x', options, async (run) => {
    const states = await server.streams.next()
    states.send({ type: 'snapshot', revision: 4, session: { status: 'paused' } })
    await until(() => run.isPaused)
    states.send({ type: 'delta', base: 4, revision: 5, patch: { status: 'running' } })
    await run.checkpoint()
    return run.node('review', async (node) => {
      const first = node.review({ text: 'draft' })
      const suspended = await server.commands.next(({ status }) => status === 'suspended')
      assert.deepEqual(suspended['output'], { text: 'draft' })
      assert.equal(suspended['nodeType'], 'human_review')
      const events = await server.streams.next()
      assert.equal(new URL(events.path, server.url).search, '?mode=events&after=5')
      const signal = (revision: number, payload: unknown) => ({
        type: 'event',
        revision,
        event: { type: 'signalled', nodeId: 'review', payload },
      })
      events.send(signal(6, { review: { action: 'modify', reviewer: 'Ada', data: 'better' } }))
      const review = await first
      const second = node.waitForSignal()
      events.close()
      const again = await server.streams.next()
      // What was heard before, and what is new.
      again.send(signal(6, 'old'))
      again.send(signal(7, 'new'))
      return [review, await second]
    })
  })
  assert.deepEqual(answers, [{ action: 'modify', isApproved: true, reviewer: 'Ada', data: 'better' }, 'new'])
})

test('nobody is waited for who cannot answer, or not longer than asked', async ({ server, options }) => {
  await run('x', options, (run) =>
    run.node('review', async (node) => {
      await assert.rejects(node.review('draft', { timeoutMs: 20 }), { name: 'TimeoutError' })
    }),
  )
  assert.deepEqual(
    server.commands.items.map(({ type, status }) => status ?? type),
    ['start', 'running', 'suspended', 'running', 'completed', 'complete'],
  )
  const alone = run('x', { ...options, disabled: true }, (run) => run.node('review', (node) => node.review('draft')))
  await assert.rejects(alone, { name: 'ReliveError', code: 'unavailable' })
})

test('a message is shown while it is written, and stored whole', async ({ server, options }) => {
  await run('x', options, (run) =>
    run.node('write', async (node) => {
      await server.commands.next(({ nodeId }) => nodeId === 'write')
      const message = node.writing({ agentId: 'poet' })
      for (const word of ['Less ', 'is ', 'more.']) message.write(word)
      const [chunk] = await server.chunks.next()
      assert.deepEqual(chunk, { nodeId: 'write', messageId: message.id, text: 'Less is more.', agentId: 'poet' })
      message.close()
      message.write('Never shown.')
      message.close('Never stored.')
      node.writing({ id: 'open' }).write('left open')
    }),
  )
  assert.deepEqual(
    server.commands.items.filter(({ type }) => type === 'addMessage').map(({ content, agentId }) => [content, agentId]),
    [
      ['Less is more.', 'poet'],
      ['left open', undefined],
    ],
  )
  assert.deepEqual(
    server.commands.items.slice(-2).map(({ status, type }) => status ?? type),
    ['completed', 'complete'],
  )
})

test('a run is created after its parent, and without it if that is not recorded', async ({ server, options }) => {
  let refused = 0
  server.fail = (path) => {
    const isChild = path === '/api/v1/sessions' && server.created.length === 1
    return isChild && refused++ === 0 ? { status: 404, code: 'not_found' } : undefined
  }
  await run('outer', options, (outer) => run('inner', { ...options, parent: outer }, () => {}))
  assert.deepEqual(
    server.created.map(({ name, parentSessionId }) => [name, parentSessionId]),
    [
      ['outer', undefined],
      ['inner', undefined],
    ],
  )
  assert.equal(server.commands.items.filter(({ type }) => type === 'complete').length, 2)
})

test('what is kept for a server that is away is bounded, and what ends a node comes last', async ({
  server,
  options,
  problems,
}) => {
  await server.stop()
  const running = run('x', { ...options, limits: { commands: 600 }, backoff: { firstMs: 20, mostMs: 20 } }, (run) =>
    run.node('a', async (node) => {
      const log = () => {
        for (let index = 0; index < 1_000; index += 1) node.log(`line ${index}`)
      }
      log()
      // Meanwhile the first batch of 500 is under way.
      await new Promise((resolve) => setImmediate(resolve))
      log()
    }),
  )
  await new Promise((resolve) => setImmediate(resolve))
  await server.listen()
  await running
  const { items } = server.commands
  assert.equal(items.filter(({ type }) => type === 'addLog').length, 598 + 500)
  assert.deepEqual(
    items.slice(-2).map(({ type, status }) => status ?? type),
    ['completed', 'complete'],
  )
  assert.match(problems.map(({ message }) => message).join('\n'), /more waits to be sent than is kept/)
  assert.match(problems.map(({ message }) => message).join('\n'), /902 commands were not recorded/)
})

test('steps that nobody waits for do not keep the run from ending', async ({ server, options }) => {
  await run('x', options, (run) => {
    void run.node('forgotten', () => new Promise(() => {}))
  })
  assert.deepEqual(
    server.commands.items.map(({ type, status }) => status ?? type),
    ['start', 'running', 'failed', 'complete'],
  )
})

test('what JSON cannot say fails nothing', async ({ server, options, problems }) => {
  const circular: Record<string, unknown> = { big: 10n }
  circular['self'] = circular
  await run('x', options, (run) => {
    run.context('circular', circular)
    run.context('nothing', undefined)
    run.outputs({ toJSON: () => assert.fail('no') })
  })
  assert.deepEqual(server.commands.items[1]?.['value'], { big: '10', self: '[circular]' })
  assert.equal(server.commands.items[2]?.['value'], null)
  // A text instead of a command is refused by the server, which is said; here it is taken.
  assert.deepEqual(problems, [])
})

test('a program that is to report nothing does not', async ({ server, options }) => {
  process.env['RELIVE_DISABLED'] = 'yes'
  try {
    assert.equal(await run('x', options, (run) => run.node('a', () => 1)), 1)
  } finally {
    delete process.env['RELIVE_DISABLED']
  }
  assert.equal(server.requests.length, 0)
})

test('the address and the token come from the environment', async ({ server }) => {
  Object.assign(process.env, { RELIVE_URL: server.url, RELIVE_TOKEN: 'rlv_key' })
  try {
    await run('x', () => {})
  } finally {
    delete process.env['RELIVE_URL']
    delete process.env['RELIVE_TOKEN']
  }
  assert.equal(server.requests[0]?.authorization, 'Bearer rlv_key')
  assert.equal(server.commands.items.length, 2)
})

void base('a value that is in two places is not in itself', () => {
  const shared = { a: 1n }
  const value: Record<string, unknown> = { x: shared, y: [shared, shared] }
  value['self'] = { value }
  assert.deepEqual(JSON.parse(encode(value)), {
    x: { a: '1' },
    y: [{ a: '1' }, { a: '1' }],
    self: { value: '[circular]' },
  })
})
