import { type KeyboardEvent, type ReactNode, useEffect, useId } from 'react'

import { type Panel, panels } from '../app/address'
import { useCommands } from '../app/commands'
import { adjustView, usePlace } from '../app/place'
import { ComparePanel } from '../compare/compare-panel'
import { ContextPanel } from '../context/context-panel'
import { useText } from '../i18n/text'
import { JournalPanel } from '../journal/journal-panel'
import { LogsPanel } from '../logs/logs-panel'
import { MessagesPanel } from '../messages/messages-panel'
import { NodePanel } from '../node/node-panel'
import { RunPanel } from '../run/run-panel'
import { Icon } from '../ui/icon'
import { useIsNarrow } from '../ui/use-media'
import { toggleReading, useIsReading } from './reading'
import { useSession } from './session-context'
import { WaitingNodes } from './waiting-nodes'

const contents: Record<Panel, () => React.JSX.Element> = {
  run: RunPanel,
  messages: MessagesPanel,
  node: NodePanel,
  logs: LogsPanel,
  context: ContextPanel,
  journal: JournalPanel,
  compare: ComparePanel,
}

/** The right side: the run, messages, a node, log lines, the context, the journal, a comparison. */
export function Panels({ children }: { children: ReactNode }) {
  const t = useText()
  const id = useId()
  const place = usePlace()
  const isNarrow = useIsNarrow()
  const isReading = useIsReading() && !isNarrow
  useCommands([{ id: 'reading', label: t.readingMode, run: toggleReading }])
  const view = place.page === 'session' ? place.view : undefined
  const hasMessages = useSession(({ book }) => book.stored.length > 0 || book.streaming.size > 0)
  const hasFailed = useSession(({ live }) => live?.status === 'failed')
  const current = view?.panel ?? (hasFailed ? 'run' : hasMessages ? 'messages' : 'journal')
  const shown = panels.filter(
    (panel) => panel !== 'compare' || view?.compareWith !== undefined || current === 'compare',
  )
  const Content = contents[current]
  // In a narrow panel, or with long names, not all tabs are in view.
  useEffect(() => {
    document.getElementById(`${id}-${current}`)?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  }, [id, current])
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    if (by === 0) return
    event.preventDefault()
    event.stopPropagation()
    const next = shown[(shown.indexOf(current) + by + shown.length) % shown.length] ?? current
    adjustView({ panel: next })
    document.getElementById(`${id}-${next}`)?.focus()
  }
  return (
    // Its part in the page changes, and its content does not: another element would be rendered anew.
    // biome-ignore lint/a11y/useAriaPropsSupportedByRole: either role has a name.
    <div
      className="panels"
      id={isReading ? 'content' : undefined}
      role={isReading ? 'main' : 'complementary'}
      aria-label={t[current]}
      tabIndex={isReading ? -1 : undefined}
    >
      {children}
      <div className="panels-head">
        <div className="tabs" role="tablist" aria-label={t.session} onKeyDown={onKeyDown}>
          {shown.map((panel) => (
            <button
              key={panel}
              id={`${id}-${panel}`}
              type="button"
              role="tab"
              aria-selected={panel === current}
              aria-controls={`${id}-content`}
              tabIndex={panel === current ? 0 : -1}
              onClick={() => adjustView({ panel })}
            >
              {t[panel]}
            </button>
          ))}
        </div>
        {!isNarrow && (
          <button
            type="button"
            className="quiet"
            aria-label={t.readingMode}
            title={t.readingMode}
            aria-pressed={isReading}
            onClick={toggleReading}
          >
            <Icon name="reading" />
          </button>
        )}
      </div>
      <div className="panel" id={`${id}-content`} role="tabpanel" aria-labelledby={`${id}-${current}`}>
        <Content />
      </div>
      {!isNarrow && <WaitingNodes />}
    </div>
  )
}
