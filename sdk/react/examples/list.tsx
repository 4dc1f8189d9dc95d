import { useSessions } from '@relive/react'

export function Running() {
  const { sessions, hasMore, readMore } = useSessions({ status: ['running', 'paused'] })
  return (
    <>
      <ul>
        {sessions.map(({ id, name, status, nodeCounts }) => (
          <li key={id}>
            {name ?? id}: {status}, {nodeCounts.completed} steps done
          </li>
        ))}
      </ul>
      {hasMore && (
        <button type="button" onClick={() => void readMore()}>
          Older
        </button>
      )}
    </>
  )
}
