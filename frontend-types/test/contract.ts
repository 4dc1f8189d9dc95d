// `types.ts` compares the generated types with these; a change of one side needs a change of the other.

// The types of docs/protocol.md, section Types.

export type SessionStatus = 'pending' | 'running' | 'paused' | 'completed' | 'failed' | 'cancelled'
export type NodeStatus = 'pending' | 'running' | 'completed' | 'failed' | 'skipped' | 'suspended'

export interface TokenUsage {
  inputTokens: number
  outputTokens: number
}

export interface NodeStateSnapshot {
  id: string
  name?: string
  type?: string
  status: NodeStatus
  startedAt?: string
  completedAt?: string
  tokenUsage?: TokenUsage
  progress?: number // 0..1, for long nodes
  attempt?: number // 1 on the first run, +1 on each re-entry (loop, retry)
  error?: string
  nextIds?: string[] // which of its next nodes follow, of one that decides
  retry?: { tries: number; cutOff?: number; dueAt?: string } // of one that is to be tried again
  parentNodeId?: string // the node that it is a step of
  kind?: NodeKind
  attributes?: Record<string, string | number | boolean>
}
export type NodeKind = 'agent' | 'chain' | 'llm' | 'tool' | 'retriever' | 'embedding' | 'guardrail' | 'human' | 'task'

export interface WorkflowSession {
  // the snapshot every viewer is sent
  id: string
  workflowId?: string
  groupId?: string
  status: SessionStatus
  startedAt?: string
  completedAt?: string
  nodes: Record<string, NodeStateSnapshot>
  activeNodeIds: string[] // running or suspended; empty once the session has ended
  totalTokens: number
  totalCostUsd: number
  contextData?: { score_history?: { round: number; score: number; timestamp?: string }[]; [key: string]: unknown }
  revision: number // dense, durable, starts at 1; the only ordering key
  createdAt: string
  updatedAt: string
  error?: string
  parentId?: string
  forkedFromRevision?: number
  name?: string
  tags?: string[]
  metadata?: Record<string, string | number | boolean>
  driverSeenAt?: string
  isStalled?: boolean
  parentSessionId?: string
  parentNodeId?: string
  graphRevision?: number
  traceparent?: string
  tracestate?: string
}

export interface SessionSummary {
  // what lists carry: no nodes, no context
  id: string
  projectId?: string // absent: `default`
  workflowId?: string
  workflowName?: string
  groupId?: string
  status: SessionStatus
  startedAt?: string
  completedAt?: string
  createdAt: string
  updatedAt: string
  revision: number
  totalTokens: number
  totalCostUsd: number
  error?: string
  nodeCounts: Record<NodeStatus, number>
  name?: string
  tags?: string[]
  metadata?: Record<string, string | number | boolean>
  driverSeenAt?: string
  isStalled?: boolean
  parentSessionId?: string
  parentNodeId?: string
  childCount: number
}

export interface SessionEntity {
  // the stored row, for those who want the inputs and the proposal
  id: string
  workflowId?: string
  groupId?: string
  status: SessionStatus
  proposal?: unknown
  inputs?: unknown
  outputs?: unknown
  nodeStatuses: Record<string, NodeStatus>
  revision: number
  startedAt?: string
  endedAt?: string
  createdAt: string
  updatedAt: string
}

export type MessageRole = 'user' | 'agent' | 'system' | 'tool'
export interface Message {
  id: string
  sessionId: string
  nodeId: string
  agentId?: string
  agentName?: string
  role: MessageRole
  content: string
  isThinking: boolean
  isStreaming: boolean // true only in a client's own view, while tokens are still arriving
  tokenCount: number
  createdAt: string
  toolCalls?: { id: string; name: string; arguments: unknown }[]
  toolCallId?: string
  contentType?: 'text/markdown' | 'text/plain' | 'application/json' // absent: text/markdown
}
export interface Log {
  sessionId: string
  revision: number
  nodeId: string
  level: 'debug' | 'info' | 'warn' | 'error'
  text: string
  at: string
  attributes?: Record<string, string | number | boolean>
}
export interface MessageGroup {
  nodeId: string
  nodeName: string
  nodeType: string
  isParallel: boolean
  status: NodeStatus
  messages: Message[]
} // made by the client, by node

export interface GraphNode {
  id: string
  type: string
  name: string
  nextIds?: string[]
  properties?: Record<string, unknown>
}
export interface GraphDefinition {
  id?: string
  name: string
  description?: string
  nodes: Record<string, GraphNode>
  startNodeId: string
}

// Section Errors.
export type ErrorCode =
  | 'bad_request'
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'illegal_transition'
  | 'nodes_active'
  | 'not_waiting'
  | 'signal_pending'
  | 'revision_conflict'
  | 'too_large'
  | 'unknown_node'
  | 'invalid_graph'
  | 'rate_limited'
  | 'internal'
  | 'unavailable'

// Section Events.
export type EventType =
  | 'created'
  | 'started'
  | 'paused'
  | 'resumed'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'nodeStatusChanged'
  | 'usageRecorded'
  | 'contextSet'
  | 'proposalSet'
  | 'labelsSet'
  | 'signalled'
  | 'messageAdded'
  | 'logAdded'
  | 'memoryAdded'
  | 'driverSeen'
  | 'stalled'
  | 'nodesAdded'
  | 'parentRemoved'
