import { duration, position } from '../format/time'
import { useText } from '../i18n/text'
import { useMoment, useOpenSession, useSession } from '../session/session-context'
import { StatusIcon } from '../status/status-icon'
import { viewOf } from '../timeline/timeline-view'
import { TickingText } from '../ui/ticking-text'

/** The newest intervals that are listed; a loop can have thousands. */
const shownAtMost = 60

/** The intervals of a node, newest first; each is a link to the moment at which it began. */
export function NodeHistory({ nodeId }: { nodeId: string }) {
  const t = useText()
  const { store, player } = useOpenSession()
  const moment = useMoment()
  const lane = useSession((state) => state.lanes.get(nodeId))
  const isKnown = useSession((state) => state.live !== undefined)
  const { start } = viewOf(store).axis()
  // Rendered again when the moment changes, to leave out later intervals.
  useSession((state) => state.replay?.state?.revision)
  const now = moment()
  const bars = (lane?.bars ?? [])
    .filter(({ from }) => from <= now + 1)
    .slice(-shownAtMost)
    .reverse()
  if (bars.length === 0 || !isKnown) return <p className="faint">{t.none}</p>
  return (
    <ol className="history num">
      {bars.map((bar) => {
        const isOpen = bar.to === undefined || bar.to > now
        const status = isOpen ? bar.during : bar.status
        return (
          <li key={`${bar.from} ${bar.attempt} ${bar.during}`}>
            <button
              type="button"
              onClick={() => player.seek(bar.revision === undefined ? { at: bar.from } : { revision: bar.revision })}
            >
              <StatusIcon status={status} />
              <span>{t.status[status]}</span>
              <span className="faint">{bar.attempt > 1 ? `×${bar.attempt}` : ''}</span>
              <span className="faint">{position(bar.from - start)}</span>
              <span>
                <TickingText text={() => duration((isOpen ? moment() : (bar.to ?? moment())) - bar.from)} />
              </span>
            </button>
          </li>
        )
      })}
    </ol>
  )
}
