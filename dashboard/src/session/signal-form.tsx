import { type FormEvent, useId, useState } from 'react'

import { useText } from '../i18n/text'
import { showNotice } from '../ui/notices'
import { selectNode } from './selection'
import { useOpenSession, useSession } from './session-context'
import { reasonOf, send } from './steering'

/** A node that waits for a signal. */
export function SignalCard({ nodeId }: { nodeId: string }) {
  const t = useText()
  const name = useSession((state) => state.live?.nodes[nodeId]?.name ?? state.graph?.nodes[nodeId]?.name ?? nodeId)
  return (
    <section className="review" aria-label={t.signalWaiting(name)}>
      <header>
        <button type="button" className="review-title" onClick={() => selectNode(nodeId, 'panel')}>
          {t.signalWaiting(name)}
        </button>
      </header>
      <SignalForm nodeId={nodeId} />
    </section>
  )
}

export function SignalForm({ nodeId }: { nodeId: string }) {
  const t = useText()
  const id = useId()
  const { store } = useOpenSession()
  const [text, setText] = useState('')
  const [isBusy, setBusy] = useState(false)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    try {
      await send(store.latest.id, { type: 'signal', nodeId, payload: readPayload(text) })
      setText('')
    } catch (error) {
      showNotice(t.refused(t.signal), reasonOf(error))
    } finally {
      setBusy(false)
    }
  }
  return (
    <form className="signal-form" onSubmit={(event) => void submit(event)}>
      <label className="visually-hidden" htmlFor={id}>
        {t.signal}
      </label>
      <input
        id={id}
        value={text}
        placeholder={t.signalHint}
        dir="auto"
        onChange={(event) => setText(event.target.value)}
      />
      <button type="submit" disabled={isBusy}>
        {isBusy ? t.sending : t.send}
      </button>
    </form>
  )
}

/** The JSON value of a text; the text itself if it is not JSON. */
export function readPayload(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}
