import { useMessages, useReplay } from '@relive/react'

export function Player({ id }: { id: string }) {
  const { session, state, play, pause, seek } = useReplay(id, { speed: 10, skipIdleMs: 1000, paused: true })
  const { messages } = useMessages(id, { until: state?.at })
  if (!state) return <p>Loading…</p>
  return (
    <>
      <button type="button" onClick={state.playing ? pause : play}>
        {state.playing ? 'Pause' : 'Play'}
      </button>
      <input
        type="range"
        aria-label="Moment"
        min={Date.parse(state.startAt)}
        max={Date.parse(state.endAt)}
        value={Date.parse(state.at)}
        onChange={(event) => seek({ at: new Date(event.target.valueAsNumber).toISOString() })}
      />
      <p>
        Revision {state.revision}: {session?.status}, {messages.length} messages
      </p>
    </>
  )
}
