import { ReliveProvider, useMessages, useSession } from '@relive/react'

export default function App() {
  return (
    <ReliveProvider url="http://127.0.0.1:7400">
      <Watch id="SESSION_ID" />
    </ReliveProvider>
  )
}

function Watch({ id }: { id: string }) {
  const { data: session, error } = useSession(id)
  const { messages } = useMessages(id)
  if (error) return <p role="alert">{error.message}</p>
  if (!session) return <p>Loading…</p>
  return (
    <>
      <h1>
        {session.name ?? session.id}: {session.status}
      </h1>
      <ul>
        {Object.values(session.nodes).map((node) => (
          <li key={node.id}>
            {node.name ?? node.id}: {node.status}
          </li>
        ))}
      </ul>
      {messages.map((message) => (
        <p key={message.id}>{message.content}</p>
      ))}
    </>
  )
}
