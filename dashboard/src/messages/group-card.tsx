import type { Message, ToolCall } from '@relive/types'
import { type CSSProperties, memo, type ReactNode, useState } from 'react'

import { ValueView } from '../context/value-view'
import { readJson } from '../format/json'
import { count } from '../format/number'
import { millis, position } from '../format/time'
import type { Text } from '../i18n/en'
import { useText } from '../i18n/text'
import { LazyMarkdown } from '../markdown/lazy-markdown'
import { useSession } from '../session/session-context'
import { StatusIcon } from '../status/status-icon'
import { Icon } from '../ui/icon'
import { Said } from '../ui/said'
import type { AttemptGroup } from './grouping'
import { hueOf, markOf, speakerOf } from './speaker'

interface MessageProps {
  message: Message
  nodeName: string
  t: Text
}

/** A colour and letters by which a speaker is known again. */
function SpeakerMark({ speaker, name }: { speaker: string; name: string }) {
  return (
    <span className="speaker-mark" style={{ '--hue': hueOf(speaker) } as CSSProperties} aria-hidden="true">
      {markOf(name)}
    </span>
  )
}

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
        <SpeakerMark speaker={first === undefined ? group.nodeId : speakerOf(first)} name={group.nodeName} />
        <button type="button" className="group-name" onClick={onSelect}>
          {group.nodeName}
        </button>
        {group.status !== 'completed' && <StatusIcon status={group.status} />}
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

const MessageBody = memo(function MessageBody({ message, nodeName, t }: MessageProps) {
  if (message.isThinking) return <Thinking message={message} t={t} />
  if (message.role === 'tool') return <ToolResult message={message} t={t} />
  const roles = { user: t.you, system: t.system, agent: message.agentName }
  const speaker = roles[message.role]
  const caret = message.isStreaming && <span className="caret" aria-hidden="true" />
  return (
    <div className={`message ${message.role}`}>
      {speaker !== undefined && speaker !== nodeName && <span className="speaker">{speaker}</span>}
      {(message.content !== '' || message.toolCalls === undefined) && <Content message={message} caret={caret} />}
      {message.toolCalls?.map((call) => (
        <ToolCallView key={call.id} call={call} t={t} />
      ))}
    </div>
  )
})

/** As its type says; without one, Markdown, which most models write. */
function Content({ message, caret }: { message: Message; caret: ReactNode }) {
  const { content, contentType } = message
  if (contentType === 'application/json') {
    const value = message.isStreaming ? undefined : readJson(content)
    if (value !== undefined) return <ValueView value={value} />
  }
  if (contentType === 'text/plain' || contentType === 'application/json')
    return (
      <p dir="auto" className="plain">
        {content}
        {caret}
      </p>
    )
  return <LazyMarkdown text={content} end={caret} />
}

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

/** What a tool answered, folded to its first line. */
function ToolResult({ message, t }: { message: Message; t: Text }) {
  const { content, toolCallId } = message
  const name = useSession((state) => nameOfCall(state.book.stored, toolCallId))
  const first = content.trimStart().split('\n', 1)[0] ?? ''
  return (
    <details className="message tool tool-result">
      <summary>
        {t.toolResult}: {name !== undefined && <code>{name}</code>}{' '}
        <span className="tool-first" dir="auto">
          {first.slice(0, 200)}
        </span>
      </summary>
      <ValueView value={readJson(content) ?? content} />
    </details>
  )
}

/** Calls that are looked through for the one that a result answers, from the newest on. */
const callsLookedThrough = 500

function nameOfCall(messages: readonly Message[], id: string | undefined): string | undefined {
  if (id === undefined) return undefined
  const from = Math.max(0, messages.length - callsLookedThrough)
  for (let at = messages.length - 1; at >= from; at -= 1) {
    const call = messages[at]?.toolCalls?.find((each) => each.id === id)
    if (call !== undefined) return call.name
  }
  return undefined
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
