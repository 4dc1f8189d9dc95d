import { WebSocket } from 'ws'
import {
  type ConnectionState,
  type EndFrame,
  type Log,
  type Message,
  type Recorded,
  ReliveClient,
  type ReliveClientOptions,
  type ReliveError,
  type SessionHandlers,
  type WorkflowSession,
} from '../src/index.js'
import { Recorder } from './recorder.js'

/** A client that comes back at once, so that no test waits for a backoff it does not test. */
export function makeClient(url: string, options: Partial<ReliveClientOptions> = {}): ReliveClient {
  return new ReliveClient({ url, WebSocket, backoff: { firstMs: 1, mostMs: 20 }, ...options })
}

/** Handlers that record what they are called with. */
export class Watching implements SessionHandlers {
  readonly sessions = new Recorder<WorkflowSession>('sessions')
  readonly events = new Recorder<Recorded>('events')
  readonly messages = new Recorder<Message>('messages')
  readonly logs = new Recorder<Log>('log lines')
  readonly ends = new Recorder<EndFrame>('ends')
  readonly errors = new Recorder<ReliveError>('errors')

  onSession(session: WorkflowSession): void {
    this.sessions.push(session)
  }

  onEvent(recorded: Recorded): void {
    this.events.push(recorded)
  }

  onMessage(message: Message): void {
    this.messages.push(message)
  }

  onLog(log: Log): void {
    this.logs.push(log)
  }

  onEnd(end: EndFrame): void {
    this.ends.push(end)
  }

  onError(error: ReliveError): void {
    this.errors.push(error)
  }
}

export function recordStates(client: ReliveClient): Recorder<ConnectionState> {
  const states = new Recorder<ConnectionState>('connection states')
  client.onConnectionChange((state) => states.push(state))
  return states
}
