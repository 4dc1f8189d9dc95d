// Compiled, never run: `npm run check` fails when the generated types and the contract part ways.

import type * as Generated from '../src/index.js'
import type * as Contract from './contract.js'

/** True only for the same type: assignable both ways would let an added optional field pass. */
type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? ([A, B] extends [B, A] ? true : false) : false

type AllSame<Left, Right extends Record<keyof Left, unknown>> = {
  [Name in keyof Left as Same<Left[Name], Right[Name]> extends true ? never : Name]: 'differs from docs/protocol.md'
}

interface ByContract {
  SessionStatus: Contract.SessionStatus
  NodeStatus: Contract.NodeStatus
  TokenUsage: Contract.TokenUsage
  NodeStateSnapshot: Contract.NodeStateSnapshot
  WorkflowSession: Contract.WorkflowSession
  SessionSummary: Contract.SessionSummary
  SessionEntity: Contract.SessionEntity
  MessageRole: Contract.MessageRole
  Message: Contract.Message
  NodeKind: Contract.NodeKind
  Log: Contract.Log
  MessageGroup: Contract.MessageGroup
  GraphNode: Contract.GraphNode
  GraphDefinition: Contract.GraphDefinition
  EventType: Contract.EventType
}

interface ByServer {
  SessionStatus: Generated.SessionStatus
  NodeStatus: Generated.NodeStatus
  TokenUsage: Generated.TokenUsage
  NodeStateSnapshot: Generated.NodeStateSnapshot
  WorkflowSession: Generated.WorkflowSession
  SessionSummary: Generated.SessionSummary
  SessionEntity: Generated.SessionEntity
  MessageRole: Generated.MessageRole
  Message: Generated.Message
  NodeKind: Generated.NodeKind
  Log: Generated.Log
  MessageGroup: Generated.MessageGroup
  GraphNode: Generated.GraphNode
  GraphDefinition: Generated.GraphDefinition
  EventType: Generated.Event['type']
}

export const differences: AllSame<ByContract, ByServer> = {}

// The page lists the error codes that a client must know; the server may have further ones.
type MissingErrorCodes = Exclude<Contract.ErrorCode, Generated.ErrorCode>
export const everyErrorCode: [MissingErrorCodes] extends [never] ? true : MissingErrorCodes = true

// Both ways, spelled out for the one type that everything hangs on.
export const toServer = (session: Contract.WorkflowSession): Generated.WorkflowSession => session
export const toContract = (session: Generated.WorkflowSession): Contract.WorkflowSession => session

// @ts-expect-error: an unknown status must not pass, or the comparisons above prove nothing.
export const unknownStatus: Generated.SessionStatus = 'stopped'
// @ts-expect-error: nor a field that is `undefined` rather than absent.
export const undefinedField: Generated.GraphDefinition = { name: '', nodes: {}, startNodeId: '', id: undefined }

// The browser's own class must do as it is; that of the package `ws` is used by the other tests.
export const browserSocket: Generated.SocketConstructor = WebSocket
