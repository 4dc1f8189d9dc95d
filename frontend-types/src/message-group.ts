import type { Message, NodeStatus } from './generated/session.js'

/** The messages of one node, for views that show a run node by node. Made by the client, never sent. */
export interface MessageGroup {
  nodeId: string
  nodeName: string
  nodeType: string
  isParallel: boolean
  status: NodeStatus
  messages: Message[]
}
