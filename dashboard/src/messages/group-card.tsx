import type { Message, ToolCall } from '@relive/types'
import { memo, useState } from 'react'

import { ValueView } from '../context/value-view'
import { count } from '../format/number'
import { millis, position } from '../format/time'
import type { Text } from '../i18n/en'
import { useText } from '../i18n/text'
import { useSession } from '../session/session-context'
import { StatusIcon } from '../status/status-icon'
import { Icon } from '../ui/icon'
import { Said } from '../ui/said'
import type { AttemptGroup } from './grouping'

interface GroupCardProps {
  group: AttemptGroup
  isSelected: boolean
  onSelect(): void
}

/** The messages of one attempt of a node. */
export function GroupCard({ group, isSelected, onSelect }: GroupCardProps) {
  const t = useText()
  const start = useSession((state) => state.live?.startedAt ?? state.live?.createdAt)
  const isWriting = group.messages.some(({ isStreaming }) => isStreaming)
  const tokens = group.messages.reduce((sum, { tokenCount }) => sum + tokenCount, 0)
  const first = group.messages[0]
  const facts = [
    group.attempt > 1 ? `×${group.attempt}` : '',
    first !== undefined && start !== undefined && !first.isStreaming
      ? position(millis(first.createdAt) - millis(start))
      : '',
    isWriting ? t.writing : tokens > 0 ? `${count(tokens)} ${t.tokens}` : '',
  ]
  return (
    <section className={`group${isSelected ? ' selected' : ''}`} aria-label={group.nodeName}>
      <header>
        <StatusIcon status={group.status} />
        <button type="button" className="group-name" onClick={onSelect}>
          {group.nodeName}
        </button>
        {group.isParallel && (
          <span className="group-parallel" title={t.atSameTime}>
            <Icon name="parallel" />
          </span>
        )}
        <span className="faint num">{facts.filter(Boolean).join(' · ')}</span>
      </header>
      {group.messages.map((message) => (
        <MessageBody key={message.id} message={message} nodeName={group.nodeName} t={t} />
      ))}
    </section>
  )
}

const MessageBody = memo(function MessageBody({
  message,
  nodeName,
  t,
}: {
  message: Message
  nodeName: string
  t: Text
}) {
  if (message.isThinking) return <Thinking message={message} t={t} />
  const roles = { user: t.you, system: t.system, tool: t.tool, agent: message.agentName }
  const speaker = roles[message.role]
  const isPlain = message.contentType === 'text/plain' || message.contentType === 'application/json'
  return (
    <div className={`message ${message.role}`}>
      {speaker !== undefined && speaker !== nodeName && <span className="speaker">{speaker}</span>}
      {(message.content !== '' || message.toolCalls === undefined) && (
        <p dir="auto" className={isPlain ? 'plain' : undefined}>
          {message.content}
          {message.isStreaming && <span className="caret" aria-hidden="true" />}
        </p>
      )}
      {message.toolCalls?.map((call) => (
        <ToolCallView key={call.id} call={call} t={t} />
      ))}
    </div>
  )
})

function ToolCallView({ call, t }: { call: ToolCall; t: Text }) {
  return (
    <details className="tool-call">
      <summary>
        {t.toolCall}: <code>{call.name}</code>
      </summary>
      <ValueView value={call.arguments} />
    </details>
  )
}

/** Collapsed to its last line, which is updated while the model is thinking. */
function Thinking({ message, t }: { message: Message; t: Text }) {
  const [isOpen, setOpen] = useState(false)
  const shown = isOpen ? message.content : (message.content.trimEnd().split('\n').at(-1) ?? '')
  return (
    <button
      type="button"
      className={`thinking${isOpen ? ' open' : ''}`}
      aria-expanded={isOpen}
      onClick={() => setOpen(!isOpen)}
    >
      <span className="thinking-label">
        <Icon name="chevron" />
        <span>
          {t.thinking}
          <Said>: </Said>
        </span>
      </span>
      <span className="thinking-text" dir="auto">
        {shown}
        {message.isStreaming && <span className="caret" aria-hidden="true" />}
      </span>
    </button>
  )
}
