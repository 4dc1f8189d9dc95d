import { useSession } from '@relive/react'
import { Suspense } from 'react'

export function Card({ id }: { id: string }) {
  return (
    <Suspense fallback={<p>Loading…</p>}>
      <Title id={id} />
    </Suspense>
  )
}

function Title({ id }: { id: string }) {
  const { data: title } = useSession(id, { suspense: true, select: ({ name, id }) => name ?? id })
  return <h2>{title}</h2>
}
