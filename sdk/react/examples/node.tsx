import { useSession } from '@relive/react'

export function NodeRow({ sessionId, nodeId }: { sessionId: string; nodeId: string }) {
  const { data: node } = useSession(sessionId, { select: ({ nodes }) => nodes[nodeId] })
  return (
    <p>
      {nodeId}: {node?.status ?? 'not yet'} <progress value={node?.progress ?? 0} />
    </p>
  )
}
