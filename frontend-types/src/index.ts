export type { BackoffOptions } from './backoff.js'
export type { ConnectionListener, ReliveClientOptions, TokenChunk } from './client.js'
export { ReliveClient } from './client.js'
export type { Clock } from './clock.js'
export { shouldReconnect } from './close-codes.js'
export type { ConnectionState, HeartbeatOptions } from './connection.js'
export type { TokenSource } from './credentials.js'
export { Cancelled } from './driver/cancelled.js'
export type { MessageWriter, NodeMessage } from './driver/message-writer.js'
export type { OutboxLimits } from './driver/outbox.js'
export type { ReportProblem } from './driver/reporter.js'
export type { Review } from './driver/review.js'
export { type Run, type RunOptions, run } from './driver/run.js'
export type {
  Attributes,
  LogLevel,
  NodeKind,
  NodeMemory,
  NodeOptions,
  NodeUsage,
  RunNode,
  WaitOptions,
} from './driver/run-node.js'
export { ReliveError } from './errors.js'
export type * from './generated/access.js'
export type * from './generated/alerts.js'
export type * from './generated/archive.js'
export type * from './generated/catalog.js'
export type * from './generated/graph.js'
export type * from './generated/memory.js'
export type * from './generated/protocol.js'
export type * from './generated/schedules.js'
export type * from './generated/session.js'
export type * from './generated/webhooks.js'
export { mergePatch } from './merge-patch.js'
export type { MessageGroup } from './message-group.js'
export type { CommandOptions } from './pending-commands.js'
export type { Replay, ReplayHandlers, ReplayOptions } from './replay.js'
export type { SessionFilters, SessionListHandlers, SessionListWatch } from './session-list.js'
export { sessionQuery, sessionsAtMost } from './session-list.js'
export type { EndFrame, SessionHandlers, SubscribeOptions, Subscription, TokenFrame } from './subscription.js'
export type { Socket, SocketConstructor, SocketEvent } from './web-socket.js'
