import { useControl, useSession } from '@relive/react'

export function Buttons({ id }: { id: string }) {
  const { data: status } = useSession(id, { select: (session) => session.status })
  const { pause, resume, cancel, isPending, error } = useControl(id)
  return (
    <>
      <button type="button" disabled={isPending || status !== 'running'} onClick={pause}>
        Pause
      </button>
      <button type="button" disabled={isPending || status !== 'paused'} onClick={resume}>
        Resume
      </button>
      <button type="button" disabled={isPending} onClick={() => cancel('from my page')}>
        Cancel
      </button>
      {error && <p role="alert">{error.message}</p>}
    </>
  )
}
