// Compiled, never run: every frame, command and event of the protocol, written out and taken apart.
// A new kind fails in the switch that does not know it; a changed field, in the literal that has it.

import type { ClientFrame, Command, Event, ServerFrame, SessionSummary, WorkflowSession } from '../src/index.js'

const sessionId = '0198c0de-0000-7000-8000-000000000001'
const messageId = '0198c0de-0000-7000-8000-000000000002'
const time = '2026-01-31T08:15:30.250Z'

/** One literal of each kind: none may be missing, none unknown, and each must fit its type exactly. */
type OneOfEach<Union extends { type: string }> = { [Kind in Union['type']]: Extract<Union, { type: Kind }> }

function unreachable(value: never): never {
  throw new Error(`unknown kind: ${JSON.stringify(value)}`)
}

export const session = {
  id: sessionId,
  workflowId: messageId,
  groupId: messageId,
  status: 'running',
  startedAt: time,
  nodes: {
    draft: {
      id: 'draft',
      name: 'Draft',
      type: 'agent',
      status: 'running',
      startedAt: time,
      tokenUsage: { inputTokens: 12, outputTokens: 30 },
      progress: 0.5,
      attempt: 1,
    },
    review: { id: 'review', status: 'failed', startedAt: time, completedAt: time, error: 'timed out' },
  },
  activeNodeIds: ['draft'],
  totalTokens: 42,
  totalCostUsd: 0.01,
  contextData: { score_history: [{ round: 1, score: 0.8, timestamp: time }], topic: 'bees' },
  revision: 7,
  createdAt: time,
  updatedAt: time,
  parentId: messageId,
  forkedFromRevision: 3,
} satisfies WorkflowSession

export const summary = {
  id: sessionId,
  workflowId: messageId,
  workflowName: 'Review',
  groupId: messageId,
  status: 'failed',
  startedAt: time,
  completedAt: time,
  createdAt: time,
  updatedAt: time,
  revision: 7,
  totalTokens: 42,
  totalCostUsd: 0.01,
  error: 'timed out',
  nodeCounts: { pending: 0, running: 0, completed: 1, failed: 1, skipped: 0, suspended: 0 },
  driverSeenAt: time,
  isStalled: true,
  parentSessionId: messageId,
  parentNodeId: 'draft',
  childCount: 2,
} satisfies SessionSummary

export const commands = {
  start: { type: 'start' },
  pause: { type: 'pause' },
  resume: { type: 'resume' },
  complete: { type: 'complete', outputs: { answer: 42 } },
  fail: { type: 'fail', error: 'out of tokens' },
  stop: { type: 'stop', reason: 'enough' },
  cancel: { type: 'cancel', reason: 'not needed' },
  setNodeStatus: {
    type: 'setNodeStatus',
    nodeId: 'draft',
    status: 'failed',
    name: 'Draft',
    nodeType: 'agent',
    progress: 1,
    error: 'timed out',
    output: [1, 'two'],
    input: { topic: 'bees' },
    parentNodeId: 'write',
    kind: 'agent',
    attributes: { model: 'small', tries: 2, cached: true, gone: null },
    startedAt: time,
    completedAt: time,
  },
  recordUsage: {
    type: 'recordUsage',
    nodeId: 'draft',
    agentId: 'writer',
    model: 'small',
    inputTokens: 12,
    outputTokens: 30,
    costUsd: 0.01,
  },
  setContext: { type: 'setContext', key: 'topic', value: null },
  setProposal: { type: 'setProposal', proposal: { title: 'Bees' } },
  setLabels: { type: 'setLabels', name: 'Bees', tags: ['garden'], metadata: { hives: 3, wild: false } },
  addNodes: {
    type: 'addNodes',
    nodes: { step: { id: 'step', type: 'step', name: 'Step', nextIds: ['draft'] } },
    edges: [{ from: 'draft', to: 'step' }],
  },
  signal: { type: 'signal', nodeId: 'review', payload: { review: { action: 'approve' } }, interruptId: 'a' },
  addMessage: {
    type: 'addMessage',
    messageId,
    nodeId: 'draft',
    agentId: 'writer',
    role: 'agent',
    content: 'Once',
    isThinking: false,
    tokenCount: 1,
    toolCalls: [{ id: 'call', name: 'search', arguments: { query: 'bees' } }],
    toolCallId: 'call',
    contentType: 'text/plain',
  },
  addLog: {
    type: 'addLog',
    nodeId: 'draft',
    level: 'warn',
    text: 'slow',
    at: time,
    attributes: { seconds: 3 },
  },
  addMemory: {
    type: 'addMemory',
    memoryId: messageId,
    agentId: 'writer',
    content: 'Bees dance',
    embedding: [0.1, 0.2],
    metadata: { source: 'field' },
  },
} satisfies OneOfEach<Command>

export const events = {
  created: {
    type: 'created',
    workflowId: messageId,
    workflowName: 'Review',
    groupId: messageId,
    graph: {
      id: 'review',
      name: 'Review',
      description: 'Write, then look',
      startNodeId: 'draft',
      nodes: {
        draft: { id: 'draft', type: 'agent', name: 'Draft', nextIds: ['review'], properties: { retries: 2 } },
        review: { id: 'review', type: 'human', name: 'Review' },
      },
    },
    proposal: { title: 'Bees' },
    inputs: ['a'],
    driver: 'external',
    forked: { parentId: messageId, revision: 3, state: {} },
  },
  started: { type: 'started' },
  paused: { type: 'paused' },
  resumed: { type: 'resumed' },
  completed: { type: 'completed', outputs: 'done' },
  failed: { type: 'failed', error: 'stopped by a person', stopped: true },
  cancelled: { type: 'cancelled', reason: 'not needed' },
  nodeStatusChanged: {
    type: 'nodeStatusChanged',
    nodeId: 'draft',
    status: 'running',
    attempt: 2,
    name: 'Draft',
    nodeType: 'agent',
    progress: 0.5,
    error: 'timed out',
    output: {},
  },
  usageRecorded: {
    type: 'usageRecorded',
    nodeId: 'draft',
    agentId: 'writer',
    model: 'small',
    inputTokens: 12,
    outputTokens: 30,
    costUsd: 0,
  },
  contextSet: { type: 'contextSet', key: 'topic', value: null },
  proposalSet: { type: 'proposalSet', proposal: null },
  labelsSet: { type: 'labelsSet', name: 'Bees', tags: ['garden'], metadata: { hives: 3, wild: false } },
  signalled: { type: 'signalled', nodeId: 'review', payload: true, interruptId: 'a' },
  driverSeen: { type: 'driverSeen', leaseSeconds: 30 },
  stalled: { type: 'stalled' },
  parentRemoved: { type: 'parentRemoved' },
  nodesAdded: {
    type: 'nodesAdded',
    nodes: { step: { id: 'step', type: 'step', name: 'Step' } },
    edges: [{ from: 'draft', to: 'step', label: 'first' }],
  },
  messageAdded: {
    type: 'messageAdded',
    messageId,
    nodeId: 'draft',
    agentId: 'writer',
    role: 'agent',
    isThinking: false,
    tokenCount: 1,
    toolCallId: 'call',
    contentType: 'application/json',
  },
  logAdded: { type: 'logAdded', nodeId: 'draft', level: 'debug', at: time },
  memoryAdded: { type: 'memoryAdded', memoryId: messageId, agentId: 'writer' },
} satisfies OneOfEach<Event>

export const clientFrames = {
  subscribe: { type: 'subscribe', sessionId, mode: 'delta', after: 6, messages: true, logs: true, minIntervalMs: 100 },
  unsubscribe: { type: 'unsubscribe', sessionId },
  command: {
    type: 'command',
    id: '1',
    sessionId,
    command: commands.start,
    commandId: 'once',
    expectedRevision: 1,
    leaseSeconds: 30,
  },
  token: { type: 'token', sessionId, nodeId: 'draft', messageId, text: 'On', agentId: 'writer', isThinking: false },
  replay: { type: 'replay', action: 'seek', revision: 3, at: time, speed: 2, by: -1 },
  auth: { type: 'auth', token: 'secret' },
  ping: { type: 'ping' },
} satisfies OneOfEach<ClientFrame>

export const fastestReplay = { type: 'replay', action: 'speed', speed: 'max' } satisfies ClientFrame

export const commandBatch = {
  type: 'command',
  id: '2',
  sessionId,
  commands: Object.values(commands),
} satisfies ClientFrame

export const serverFrames = {
  subscribed: { type: 'subscribed', sessionId, revision: 7, mode: 'delta' },
  snapshot: { type: 'snapshot', sessionId, revision: 7, session },
  delta: {
    type: 'delta',
    sessionId,
    base: 7,
    revision: 9,
    patch: {
      revision: 9,
      updatedAt: time,
      activeNodeIds: [],
      nodes: { draft: { status: 'completed', completedAt: time, progress: null } },
      contextData: { topic: null, mood: 'calm' },
    },
  },
  event: { type: 'event', sessionId, revision: 7, at: time, event: events.nodeStatusChanged },
  message: {
    type: 'message',
    sessionId,
    revision: 7,
    message: {
      id: messageId,
      sessionId,
      nodeId: 'draft',
      agentId: 'writer',
      agentName: 'Writer',
      role: 'agent',
      content: 'Once',
      isThinking: false,
      isStreaming: false,
      tokenCount: 1,
      createdAt: time,
      toolCalls: [{ id: 'call', name: 'search', arguments: '{}' }],
      toolCallId: 'call',
      contentType: 'application/json',
    },
  },
  log: {
    type: 'log',
    sessionId,
    revision: 7,
    log: {
      sessionId,
      revision: 7,
      nodeId: 'draft',
      level: 'error',
      text: 'slow',
      at: time,
      attributes: { seconds: 3 },
    },
  },
  token: { type: 'token', sessionId, nodeId: 'draft', messageId, text: 'On', agentId: 'writer', isThinking: false },
  ack: { type: 'ack', id: '1', sessionId, revision: 8, duplicate: true },
  error: { type: 'error', id: '1', sessionId, code: 'rate_limited', message: 'slow down', retryable: true },
  end: { type: 'end', sessionId, status: 'completed', revision: 9 },
  replayState: {
    type: 'replayState',
    sessionId,
    revision: 7,
    at: time,
    speed: 'max',
    playing: true,
    live: false,
    firstRevision: 1,
    lastRevision: 9,
    startAt: time,
    endAt: time,
    idle: [{ from: time, to: time }],
    skipIdleMs: 500,
  },
  sessions: { type: 'sessions', sessions: [summary] },
  session: { type: 'session', change: 'changed', session: summary },
  authenticated: {
    type: 'authenticated',
    role: 'viewer',
    scopes: ['read:sessions', `read:sessions:${sessionId}`],
    project: 'default',
    expiresAt: time,
  },
  expiring: { type: 'expiring', expiresAt: time },
  pong: { type: 'pong' },
} satisfies OneOfEach<ServerFrame>

export function describeClientFrame(frame: ClientFrame): string {
  switch (frame.type) {
    case 'subscribe':
      return `${frame.sessionId} ${frame.mode ?? 'snapshot'} ${frame.after ?? 0} ${frame.messages ?? false} ${frame.minIntervalMs ?? 0}`
    case 'unsubscribe':
      return frame.sessionId
    case 'command':
      return [...(frame.commands ?? []), ...(frame.command ? [frame.command] : [])].map(describeCommand).join()
    case 'token':
      return frame.text
    case 'replay':
      return frame.action
    case 'auth':
      return frame.token.length.toString()
    case 'ping':
      return frame.type
    default:
      return unreachable(frame)
  }
}

export function describeServerFrame(frame: ServerFrame): string {
  switch (frame.type) {
    case 'subscribed':
      return `${frame.mode} from ${frame.revision}`
    case 'snapshot':
      return frame.session.status
    case 'delta':
      return `${frame.base} to ${frame.revision}: ${Object.keys(frame.patch).join()}`
    case 'event':
      return `${frame.at} ${describeEvent(frame.event)}`
    case 'message':
      return frame.message.content
    case 'log':
      return `${frame.log.level} ${frame.log.text} ${JSON.stringify(frame.log.attributes)}`
    case 'token':
      return frame.text
    case 'ack':
      return `${frame.id} ${frame.revision} ${frame.duplicate ?? false}`
    case 'error':
      return `${frame.code} ${frame.message} ${frame.retryable} ${frame.id ?? ''} ${frame.sessionId ?? ''}`
    case 'end':
      return frame.status
    case 'replayState':
      return `${frame.revision} of ${frame.firstRevision} to ${frame.lastRevision} at ${frame.at}, ${frame.speed} ${frame.skipIdleMs ?? 0}`
    case 'sessions':
      return frame.sessions.map(({ workflowName = '' }) => workflowName).join()
    case 'session':
      return `${frame.change} ${frame.session.nodeCounts.suspended}`
    case 'authenticated':
      return `${frame.role ?? frame.scopes?.join() ?? ''} of ${frame.project} to ${frame.expiresAt ?? ''}`
    case 'expiring':
      return frame.expiresAt
    case 'pong':
      return frame.type
    default:
      return unreachable(frame)
  }
}

export function describeCommand(command: Command): string {
  switch (command.type) {
    case 'start':
    case 'pause':
    case 'resume':
      return command.type
    case 'complete':
      return JSON.stringify(command.outputs)
    case 'fail':
      return command.error
    case 'stop':
    case 'cancel':
      return command.reason ?? ''
    case 'setNodeStatus':
      return `${command.nodeId} ${command.status} ${command.progress ?? 0} ${command.error ?? ''}`
    case 'recordUsage':
      return `${command.inputTokens + command.outputTokens} ${command.costUsd ?? 0}`
    case 'setContext':
      return `${command.key} ${JSON.stringify(command.value)}`
    case 'setProposal':
      return JSON.stringify(command.proposal)
    case 'setLabels':
      return `${command.name ?? ''} ${command.tags?.join() ?? ''} ${JSON.stringify(command.metadata)}`
    case 'addNodes':
      return `${Object.keys(command.nodes ?? {})} ${command.edges?.map(({ from, to }) => `${from} ${to}`)}`
    case 'signal':
      return `${command.nodeId} ${JSON.stringify(command.payload)} ${command.interruptId ?? ''}`
    case 'addMessage':
      return `${command.role ?? 'agent'}: ${command.content} ${command.toolCalls?.map((call) => call.name).join() ?? ''}`
    case 'addLog':
      return `${command.level} ${command.text} ${command.at ?? ''}`
    case 'addMemory':
      return `${command.content} ${command.embedding?.length ?? 0}`
    default:
      return unreachable(command)
  }
}

export function describeEvent(event: Event): string {
  switch (event.type) {
    case 'created':
      return `${event.driver} ${event.graph?.startNodeId ?? ''} ${event.forked?.parentId ?? ''}`
    case 'started':
    case 'paused':
    case 'resumed':
      return event.type
    case 'completed':
      return JSON.stringify(event.outputs)
    case 'failed':
      return `${event.error} ${event.stopped ?? false}`
    case 'cancelled':
      return event.reason ?? ''
    case 'nodeStatusChanged':
      return `${event.nodeId} ${event.status} ${event.attempt ?? ''}`
    case 'usageRecorded':
      return `${event.inputTokens + event.outputTokens} ${event.costUsd}`
    case 'contextSet':
      return `${event.key} ${JSON.stringify(event.value)}`
    case 'proposalSet':
      return JSON.stringify(event.proposal)
    case 'labelsSet':
      return `${event.name ?? ''} ${event.tags?.join() ?? ''} ${JSON.stringify(event.metadata)}`
    case 'signalled':
      return `${event.nodeId} ${JSON.stringify(event.payload)}`
    case 'messageAdded':
      return `${event.messageId} ${event.tokenCount}`
    case 'logAdded':
      return `${event.level} ${event.at ?? ''}`
    case 'memoryAdded':
      return event.memoryId
    case 'driverSeen':
      return String(event.leaseSeconds)
    case 'stalled':
    case 'parentRemoved':
      return event.type
    case 'nodesAdded':
      return `${Object.keys(event.nodes)} ${event.edges?.length ?? 0}`
    default:
      return unreachable(event)
  }
}
