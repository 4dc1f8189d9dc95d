import type { Actor, GraphDefinition, ReliveError, ReplayState, UsageReport, WorkflowSession } from '@relive/types'
import { millis } from '../format/time'
import { type MessageBook, noMessages } from '../messages/message-book'
import { hasEnded } from '../status/status'
import { type Lanes, noLanes } from '../timeline/lanes'

/** A replay as the page shows it. */
export interface ReplayView {
  /** The state at the moment; `undefined` until the first one has arrived. */
  readonly session: WorkflowSession | undefined
  readonly state: ReplayState | undefined
  /** `performance.now()` when `state` arrived, to interpolate from. */
  readonly receivedAt: number
  /** The position to which the user moved the scrubber, until the replay has followed. Milliseconds since 1970. */
  readonly target: number | undefined
  /** The last seek has not been answered yet. */
  readonly isSeeking: boolean
  readonly isConnected: boolean
}

/** The options of a replay, also before it begins. */
export interface Pace {
  readonly speed: number
  /** Whether idle gaps are shortened. */
  readonly skipIdle: boolean
}

/** The state of the session's page. */
export interface SessionState {
  readonly id: string
  /** The newest committed state. */
  readonly live: WorkflowSession | undefined
  /** `null`: the session has no graph. */
  readonly graph: GraphDefinition | null | undefined
  readonly book: MessageBook
  readonly lanes: Lanes
  readonly usage: UsageReport | undefined
  /** Who created the session; `undefined` as long as that is not known. */
  readonly createdBy: Actor | undefined
  readonly replay: ReplayView | undefined
  readonly pace: Pace
  /** Why the session cannot be shown. */
  readonly error: ReliveError | undefined
}

export function initialState(id: string): SessionState {
  return {
    id,
    live: undefined,
    graph: undefined,
    book: noMessages,
    lanes: noLanes,
    usage: undefined,
    createdBy: undefined,
    replay: undefined,
    pace: { speed: 1, skipIdle: false },
    error: undefined,
  }
}

/** The state at the selected moment. */
export function shownSession(state: SessionState): WorkflowSession | undefined {
  return state.replay === undefined ? state.live : (state.replay.session ?? state.live)
}

/** The time span of a run. While it runs, it ends now. */
export function runSpan(session: WorkflowSession | undefined, now: number): { start: number; end: number } {
  if (session === undefined) return { start: now, end: now }
  const start = millis(session.startedAt) ?? millis(session.createdAt)
  const end = hasEnded(session.status)
    ? (millis(session.completedAt) ?? millis(session.updatedAt))
    : session.startedAt
      ? now
      : start
  return { start, end: Math.max(start, end) }
}

/** The selected time: now, the end of the run, or the position of the replay. Milliseconds since 1970. */
export function momentOf(state: SessionState, now: number, frameTime: number): number {
  const { replay, live } = state
  const span = runSpan(live, now)
  if (replay === undefined) return span.end
  if (replay.target !== undefined) return replay.target
  if (replay.state === undefined) return span.end
  const { at, playing, speed, live: atEdge, endAt } = replay.state
  if (atEdge) return span.end
  const base = millis(at)
  if (!playing || typeof speed !== 'number') return base
  const end = live !== undefined && !hasEnded(live.status) ? span.end : millis(endAt)
  return Math.min(Math.max(base, end), base + Math.max(0, frameTime - replay.receivedAt) * speed)
}

/** The time up to which messages are shown, milliseconds since 1970; `undefined`: all messages. */
export function messageMoment({ replay }: Pick<SessionState, 'replay'>): number | undefined {
  return replay?.target ?? (replay?.state === undefined ? undefined : millis(replay.state.at))
}
